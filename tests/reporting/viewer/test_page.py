"""The viewer's parts: true voxels, exact places, escaped names, nothing from elsewhere."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from slicewise.errors import GeometryError, LabelError, OutputError, ScanError, SlicewiseError
from slicewise.imaging.structures import COLOURS, Structure
from slicewise.imaging.volume import Volume
from slicewise.reporting.viewer import niivue
from slicewise.reporting.viewer import page as viewer
from slicewise.reporting.viewer.niivue import niivue_script, niivue_version
from slicewise.reporting.viewer.page import (
    ViewedMask,
    ViewedScan,
    ViewerParts,
    text_hash,
    viewer_parts,
    write_viewer_page,
)

EVIL = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"
PLENTY = 10_000_000
CORE = Structure("core", 3, "#112233")
# Stored (S, L, A): the axes of the world come as j reversed, k, i.
AFFINE = np.array(
    [[0, -1.5, 0, 40.0], [0, 0, 2.5, -20.0], [4.0, 0, 0, 7.0], [0, 0, 0, 1]], dtype=np.float64
)


def a_scan(voxels: NDArray[Any] | None = None) -> Volume:
    if voxels is None:
        voxels = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    return Volume(voxels, AFFINE, "scan")


def a_mask(scan: Volume, **places: int) -> Volume:
    labels = np.zeros(scan.shape, dtype=np.int16)
    for place, value in places.items():
        labels[tuple(int(digit) for digit in place[1:])] = value
    return scan.with_voxels(labels)


class Elements(HTMLParser):
    """What a browser makes of markup."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.data: list[str] = []
        self.texts: list[str] = []
        self.is_data = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.is_data = dict(attrs).get("type") == "application/json"

    def handle_data(self, data: str) -> None:
        (self.data if self.is_data else self.texts).append(data)

    def handle_endtag(self, tag: str) -> None:
        self.is_data = self.is_data and tag != "script"


def contents(parts: ViewerParts) -> list[dict[str, Any]]:
    return [json.loads(text) for text in Elements(parts.markup).data]


def content(scan: Volume, *masks: ViewedMask) -> dict[str, Any]:
    (found,) = contents(viewer_parts([ViewedScan("scan", scan, masks)], PLENTY))
    return found


def unpacked(text: str) -> bytes:
    return gzip.decompress(base64.b64decode(text))


def drawn(found: dict[str, Any]) -> nib.nifti1.Nifti1Image:
    return nib.nifti1.Nifti1Image.from_bytes(unpacked(found["scan"]))


def labels_in(found: dict[str, Any], mask: int = 0) -> NDArray[np.uint8]:
    numbers = np.frombuffer(unpacked(found["masks"][mask]["labels"]), dtype=np.uint8)
    return numbers.reshape(found["shape"], order="F")


def test_every_voxel_keeps_its_value_and_place() -> None:
    scan = a_scan()
    found = content(scan)
    voxels = np.asanyarray(drawn(found).dataobj)
    assert found["shape"] == [3, 4, 2] == list(voxels.shape)
    for index in np.ndindex(*voxels.shape):
        world = np.array(found["affine"]) @ [*index, 1]
        stored = np.linalg.inv(AFFINE) @ world
        assert voxels[index] == scan.voxels[tuple(np.rint(stored[:3]).astype(int))]
        np.testing.assert_array_equal(np.array(found["to_stored"]) @ [*index, 1], np.rint(stored))


def test_the_affine_is_exact() -> None:
    affine = AFFINE.copy()
    affine[:3, 3] = [1 / 3, np.pi * 100, -1e-9]
    found = content(Volume(np.zeros((2, 3, 4)), affine))
    origin = np.array(found["affine"]) @ [2, 0, 0, 1]
    np.testing.assert_allclose(origin, [*affine[:3, 3], 1], rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.0, 255.0], np.uint8),
        ([-1.0, 32767.0], np.int16),
        ([0, 65535], np.uint16),
        ([0.5, 1e6], np.float32),
        ([-1, 40000], np.float32),
        ([0.1, 0.2], np.float64),
        ([0, 2**24 + 1], np.float64),
        ([np.nan, 4.5], np.float32),
    ],
)
def test_the_smallest_type_that_keeps_every_value(values: list[float], kind: type) -> None:
    voxels = np.resize(values, 24).reshape(2, 3, 4)
    image = drawn(content(a_scan(voxels)))
    assert image.get_data_dtype() == kind
    stored = np.sort(np.asanyarray(image.dataobj).ravel().astype(np.float64))
    np.testing.assert_array_equal(stored, np.sort(voxels.ravel().astype(np.float64)))


def test_nothing_of_the_source_header_is_kept() -> None:
    header = nib.nifti1.Nifti1Header()
    header["descrip"], header["db_name"] = b"DOE^JANE", b"DOE^JANE"
    found = content(Volume(np.zeros((2, 3, 4)), AFFINE, header=header))
    assert b"DOE" not in unpacked(found["scan"])


def test_labels_are_numbered_named_and_measured() -> None:
    scan = a_scan()
    mask = ViewedMask("mask", a_mask(scan, _000=7, _123=3, _012=3, _111=-2), (CORE,))
    found = content(scan, mask)
    voxel_ml = 1.5 * 2.5 * 4 / 1000
    assert found["masks"][0]["structures"] == [
        {"name": "core", "colour": "#112233", "volume": f"{2 * voxel_ml:.3g} ml"},
        {"name": "label -2", "colour": COLOURS[-3 % 7], "volume": f"{voxel_ml:.3g} ml"},
        {"name": "label 7", "colour": COLOURS[6], "volume": f"{voxel_ml:.3g} ml"},
    ]
    # Stored (i, j, k) is drawn at (2 - j, k, i).
    expected = np.zeros((3, 4, 2))
    expected[2, 0, 0], expected[0, 3, 1], expected[1, 2, 0], expected[1, 1, 1] = 3, 1, 1, 2
    np.testing.assert_array_equal(labels_in(found), expected)


def test_it_starts_in_the_middle_of_the_labels() -> None:
    scan = a_scan()
    empty = ViewedMask("empty", a_mask(scan))
    assert content(scan, empty)["start"] == [1, 2, 1]
    full = ViewedMask("full", a_mask(scan, _000=1, _001=1, _002=1, _122=1, _121=1))
    # Stored (0, 0, 1) is the middle of the larger area.
    assert content(scan, empty, full)["start"] == [2, 1, 0]


def test_the_window_leaves_out_the_extremes() -> None:
    values = np.r_[np.full(20, -900.0), np.linspace(100, 200, 1960), np.full(20, 9000.0)]
    window = content(Volume(values.reshape(10, 10, 20), np.eye(4)))["window"]
    assert (window["lowest"], window["highest"]) == (-900, 9000)
    low, high = np.percentile(values, [1, 99.7])
    assert (window["low"], window["high"]) == (low, high)


@pytest.mark.parametrize("value", [0.0, 17.0])
def test_a_constant_scan_has_a_window(value: float) -> None:
    window = content(a_scan(np.full((2, 3, 4), value)))["window"]
    assert window == {"low": value, "high": value + 1, "lowest": value, "highest": value + 1}


def test_a_scan_without_a_number_is_refused() -> None:
    with pytest.raises(ScanError, match="voxels that are numbers"):
        content(a_scan(np.full((2, 3, 4), np.nan)))


def test_oblique_and_skewed_grids_say_so() -> None:
    assert content(a_scan())["notes"] == []
    turn = np.radians(12)
    oblique = np.eye(4)
    oblique[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    (note,) = content(Volume(np.zeros((2, 2, 2)), oblique))["notes"]
    assert "up to 12 degrees" in note
    skewed = np.eye(4)
    skewed[0, 2] = 0.3
    (note,) = content(Volume(np.zeros((2, 2, 2)), skewed))["notes"]
    assert "skewed" in note


def test_names_are_text_wherever_they_stand(tmp_path: Path) -> None:
    scan = a_scan()
    mask = ViewedMask(EVIL, a_mask(scan, _000=3), (Structure(EVIL, 3, "#112233"),))
    write_viewer_page([ViewedScan(EVIL, scan, (mask,), EVIL)], tmp_path / "v.html", EVIL)
    page = Elements((tmp_path / "v.html").read_text())
    # The scan, the renderer and the viewer's own script.
    assert page.tags.count("script") == 3
    assert "img" not in page.tags
    assert EVIL in page.texts
    found = json.loads(page.data[0])
    assert found["title"] == found["notes"][0] == found["masks"][0]["name"] == EVIL
    assert found["masks"][0]["structures"][0]["name"] == EVIL


def test_scans_that_do_not_fit_are_named() -> None:
    noise = np.random.default_rng(0)
    small = a_scan()
    large = Volume(noise.normal(size=(20, 20, 20)), np.eye(4))
    scans = [ViewedScan(name, one) for name, one in (("a", small), ("b", large), ("c", small))]
    parts = viewer_parts(scans, 3_000)
    assert parts.left_out == ("b",)
    assert [found["title"] for found in contents(parts)] == ["a", "c"]
    assert "the viewer leaves out b" in " ".join(Elements(parts.markup).texts)


@pytest.mark.parametrize("scans", [[], [ViewedScan("a", a_scan())]])
def test_nothing_to_look_at_is_nothing(scans: list[ViewedScan]) -> None:
    parts = viewer_parts(scans, 10)
    assert (parts.markup, parts.style, parts.scripts) == ("", "", ())
    assert parts.left_out == tuple(viewed.title for viewed in scans)


def test_a_page_that_holds_no_scan_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "MAX_PAGE_BYTES", 10)
    with pytest.raises(OutputError):
        write_viewer_page([ViewedScan("a", a_scan())], tmp_path / "v.html")
    assert not (tmp_path / "v.html").exists()


def test_the_same_scans_make_the_same_page(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_viewer_page([ViewedScan("a", a_scan())], tmp_path / f"{name}.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_the_policy_allows_nothing_but_the_page_itself(tmp_path: Path) -> None:
    write_viewer_page([ViewedScan("a", a_scan())], tmp_path / "v.html")
    page = (tmp_path / "v.html").read_text()
    found = re.search('Content-Security-Policy" content="([^"]+)"', page)
    assert found is not None
    policy = dict(text.split(" ", 1) for text in found[1].replace("&#39;", "'").split("; "))
    parts = viewer_parts([ViewedScan("a", a_scan())], PLENTY)
    (style,) = re.findall("<style>(.*?)</style>", page.split("<body>")[0], re.DOTALL)
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'{text_hash(style)}'",
        "script-src": " ".join(f"'{text_hash(script)}'" for script in parts.scripts),
    }


def test_every_rule_is_about_the_viewer_alone() -> None:
    style = str(viewer_parts([ViewedScan("a", a_scan())], PLENTY).style)
    rules = re.findall(r"([^{}]+)\{[^{}]*\}", re.sub(r"@media[^{]*\{", "", style))
    selectors = [one.strip() for rule in rules for one in rule.split(",") if one.strip()]
    assert len(selectors) > 30
    assert [one for one in selectors if not one.startswith(".slicewise-viewer")] == []


def test_own_scripts_leave_no_names_behind() -> None:
    own = viewer_parts([ViewedScan("a", a_scan())], PLENTY).scripts[1]
    assert own.startswith("(() => {")
    assert own.endswith("})();")


def test_the_licence_of_the_renderer_is_in_the_page() -> None:
    text = " ".join(Elements(viewer_parts([ViewedScan("a", a_scan())], PLENTY).markup).texts)
    assert "Copyright (c) 2021, Niivue" in text
    assert "Redistributions in binary form must reproduce the above copyright notice" in text
    assert f"NiiVue {niivue_version()}" in text


def test_a_mask_on_another_grid_is_refused() -> None:
    scan = a_scan()
    moved = Volume(np.zeros(scan.shape, dtype=np.uint8), AFFINE + np.eye(4, k=3))
    with pytest.raises(GeometryError):
        content(scan, ViewedMask("mask", moved))


def test_intensities_are_no_mask() -> None:
    scan = Volume(np.zeros((20, 20, 1)), np.eye(4))
    values = scan.with_voxels(np.arange(400).reshape(20, 20, 1))
    with pytest.raises(LabelError, match="399 different values"):
        content(scan, ViewedMask("mask", values))
    content(scan, ViewedMask("mask", scan.with_voxels(values.voxels % 256)))


def test_five_masks_are_too_many() -> None:
    scan = a_scan()
    masks = tuple(ViewedMask(str(number), a_mask(scan)) for number in range(5))
    with pytest.raises(LabelError, match="at most 4 masks"):
        content(scan, *masks)


def test_nilearn_brings_the_renderer() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", niivue_version())
    for name in ("setCustomSliceShader", "customSliceShader", "screenSlices", "setPan2Dxyzmm"):
        assert name in niivue_script()


def test_a_nilearn_without_the_renderer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(niivue, "_SCRIPT", "nilearn/_assets/js/gone.js")
    niivue_script.cache_clear()
    with pytest.raises(SlicewiseError, match="nilearn"):
        niivue_script()
    niivue_script.cache_clear()
