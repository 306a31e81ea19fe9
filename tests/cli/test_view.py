"""``slicewise view``: one page of a scan with its masks, whatever their formats."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slicewise.imaging.label_table import write_colour_table
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.nifti.writing import write_mask, write_volume
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume

Slicewise = Callable[..., Any]


def shown(page: Path) -> list[dict[str, Any]]:
    """What the page holds of each scan."""
    texts = re.findall('<script type="application/json">(.*?)</script>', page.read_text())
    return [json.loads(text) for text in texts]


def structures(found: dict[str, Any], mask: int = 0) -> list[tuple[str, str]]:
    return [(one["name"], one["colour"]) for one in found["masks"][mask]["structures"]]


def test_a_scan_alone(slicewise: Slicewise, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "view.html"
    scan = scans / "images" / "case0.nii.gz"
    done = slicewise("view", scan, "--out", out, "--work", tmp_path / "work")
    assert done.returncode == 0, done.stderr
    (found,) = shown(out)
    assert (found["title"], found["masks"]) == ("case0", [])
    assert "case0" in done.stderr
    assert str(scans) not in out.read_text()


def test_masks_by_name_with_configured_structures(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "view.html"
    label = scans / "labels" / "case0.nii.gz"
    done = slicewise(
        "view", scans / "images" / "case0.nii.gz", f"prediction={label}", label,
        "--config", tiny, "--out", out, "--work", tmp_path / "work",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (found,) = shown(out)
    assert [mask["name"] for mask in found["masks"]] == ["prediction", "case0"]
    assert structures(found) == [("core", "#E69F00")]


def test_names_from_a_colour_table_next_to_the_mask(
    slicewise: Slicewise, scans: Path, tmp_path: Path
) -> None:
    mask = tmp_path / "mask.nii.gz"
    shutil.copy(scans / "labels" / "case0.nii.gz", mask)
    arguments = ("view", scans / "images" / "case0.nii.gz", mask)
    options = ("--out", tmp_path / "view.html", "--work", tmp_path / "work")
    assert slicewise(*arguments, *options).returncode == 0
    assert structures(shown(tmp_path / "view.html")[0]) == [("label 3", "#009E73")]
    write_colour_table([Structure("rim", 3, "#0a0b0c")], tmp_path / "labels.ctbl")
    assert slicewise(*arguments, *options).returncode == 0
    assert structures(shown(tmp_path / "view.html")[0]) == [("rim", "#0a0b0c")]
    # The table of this very mask comes first.
    write_colour_table([Structure("own", 3, "#010203")], tmp_path / "mask.ctbl")
    assert slicewise(*arguments, *options).returncode == 0
    assert structures(shown(tmp_path / "view.html")[0]) == [("own", "#010203")]


def test_several_volumes_of_one_file(slicewise: Slicewise, tmp_path: Path) -> None:
    import nibabel as nib

    voxels = np.random.default_rng(0).integers(0, 99, (5, 6, 7, 3)).astype(np.int16)
    nib.save(nib.nifti1.Nifti1Image(voxels, np.eye(4)), tmp_path / "four.nii.gz")
    mask = Volume((voxels[..., 0] > 50).astype(np.uint8), np.eye(4))
    write_mask(mask, mask, tmp_path / "mask.nii.gz")
    done = slicewise(
        "view", tmp_path / "four.nii.gz", tmp_path / "mask.nii.gz",
        "--out", tmp_path / "view.html", "--work", tmp_path / "work",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = shown(tmp_path / "view.html")
    assert [one["title"] for one in found] == ["four_v001", "four_v002", "four_v003"]
    assert [len(one["masks"]) for one in found] == [1, 1, 1]


def test_a_picture_with_its_mask(slicewise: Slicewise, tmp_path: Path) -> None:
    pixels = np.arange(30 * 20, dtype=np.uint16).reshape(30, 20)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    Image.fromarray((pixels > 100).astype(np.uint8)).save(tmp_path / "mask.png")
    out = tmp_path / "view.html"
    done = slicewise(
        "view", tmp_path / "picture.png", tmp_path / "mask.png",
        "--out", out, "--work", tmp_path / "work",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert shown(out)[0]["shape"] == [20, 30, 1]
    assert "no geometry" in done.stderr


def expect(done: Any, code: int, *texts: str) -> None:
    assert done.returncode == code, done.stderr
    for text in (*texts, "expected:", "found:", "remedy:"):
        assert text in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "texts"),
    [
        (["{labels}/case0.nii.gz", "{labels}/case0.nii.gz"], 2, ["case0 twice", "prediction=PATH"]),
        (["a=a", "b=b", "c=c", "d=d", "e=e"], 2, ["at most 4"]),
        (["{tmp}/nothing.nii.gz"], 1, ["no such file"]),
        (["{labels}"], 1, ["a folder of 6, such as case0.nii.gz", "{labels}/case0.nii.gz"]),
        (["{tmp}/large.nii.gz"], 1, ["large.nii.gz", "shape"]),
        (["{scan}"], 1, ["whole numbers as labels"]),
        (["{tmp}/spoilt.nii.gz"], 1, ["spoilt.ctbl: line 2"]),
        (["--out", "{tmp}/mask.nii.gz"], 2, [".html"]),
        (["--config", "{tmp}/none.yaml"], 2, ["none.yaml"]),
    ],
)
def test_mistakes(
    slicewise: Slicewise,
    scans: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    texts: list[str],
) -> None:
    large = Volume(np.zeros((9, 9, 9), dtype=np.uint8), np.eye(4))
    write_mask(large, large, tmp_path / "large.nii.gz")
    label = read_nifti(scans / "labels" / "case0.nii.gz")
    write_mask(label, label, tmp_path / "spoilt.nii.gz")
    (tmp_path / "spoilt.ctbl").write_text("# table\n3 core 1 2\n")
    scan = scans / "images" / "case0.nii.gz"
    places = {"labels": scans / "labels", "scan": scan, "tmp": tmp_path}
    options = [] if "--out" in arguments else ["--out", str(tmp_path / "view.html")]
    done = slicewise(
        "view", scan, *(text.format(**places) for text in arguments), *options,
        "--work", tmp_path / "work",
    )  # fmt: skip
    expect(done, code, *(text.format(**places) for text in texts))
    assert not (tmp_path / "view.html").exists()


def test_a_folder_of_many_scans(slicewise: Slicewise, tmp_path: Path) -> None:
    small = Volume(np.zeros((2, 2, 2), dtype=np.uint8), np.eye(4))
    for number in range(31):
        write_volume(small, tmp_path / "many" / f"{number}.nii")
    done = slicewise(
        "view", tmp_path / "many", "--out", tmp_path / "v.html", "--work", tmp_path / "work"
    )
    expect(done, 2, "at most 30 scans", "31")


def test_no_page_among_the_scans(slicewise: Slicewise, scans: Path, tmp_path: Path) -> None:
    done = slicewise(
        "view", scans / "images", "--out", scans / "images" / "v.html", "--work", tmp_path / "work"
    )
    expect(done, 2, "outside of the input")


def test_large_pages_are_noted(
    slicewise: Slicewise, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slicewise.cli import view

    monkeypatch.setattr(view, "_LARGE_BYTES", 1000)
    done = slicewise(
        "view", scans / "images" / "case0.nii.gz", "--out", tmp_path / "v.html",
        "--work", tmp_path / "work",
    )  # fmt: skip
    assert done.returncode == 0
    assert "slowly" in done.stderr


@pytest.mark.parametrize("found", [True, False])
def test_the_browser_is_opened(
    slicewise: Slicewise,
    scans: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    found: bool,
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or found)
    out = tmp_path / "v.html"
    scan = scans / "images" / "case0.nii.gz"
    done = slicewise("view", scan, "--out", out, "--open", "--work", tmp_path / "work")
    assert done.returncode == 0
    assert opened == [out.as_uri()]
    assert ("no browser" in done.stderr) is not found


@pytest.mark.data
@pytest.mark.slow
def test_a_real_oblique_series(slicewise: Slicewise, test_data: Path, tmp_path: Path) -> None:
    series = test_data / "dicom" / "Study1" / "12-T1post-05670"
    out = tmp_path / "view.html"
    done = slicewise("view", series, "--out", out, "--work", tmp_path / "work")
    assert done.returncode == 0, done.stderr
    (found,) = shown(out)
    assert found["shape"] == [512, 512, 22]
    assert "Oblique scan" in found["notes"][0]
