"""The pictures of a case: the right slice, outlines and colours in place, errors summed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from slicewise.imaging.pictures import NO_GEOMETRY
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume
from slicewise.reporting.overlays import (
    AGREEMENT,
    CONFUSED,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    with_differences,
    with_outline,
)
from slicewise.reporting.report.case_panels import CasePanels, Panel, ShownCase, draw_case

SHAPE = (12, 16, 20)
SPACING_MM = (1.0, 1.5, 0.5)
CORE, RIM = Structure("core", 1, "#ff0000"), Structure("rim", 2, "#00ff00")


def a_case(codes: str = "RAS", **volumes: Any) -> ShownCase:
    """A block right, in front and low; predicted one voxel too far to the back."""
    affine = np.diag([*SPACING_MM, 1.0])
    reference, predicted = np.zeros((2, *SHAPE), np.uint8)
    reference[5:11, 4:14, 2:9] = 1
    predicted[5:11, 3:14, 2:9] = 1
    parts = {
        "scan": np.linspace(90, 110, reference.size).reshape(SHAPE),
        "predicted": predicted,
        "reference": reference,
    } | volumes
    made = {
        name: None if voxels is None else Volume(voxels, affine, name).reoriented(codes)
        for name, voxels in parts.items()
    }
    return ShownCase("case", structures=(CORE, RIM), **made)  # type: ignore[arg-type]


def drawn(case: ShownCase, plane: str = "axial", *, by_errors: bool = False) -> CasePanels:
    return draw_case(case, plane, by_errors=by_errors)


def pixels(panel: Panel) -> NDArray[np.int64]:
    picture = Image.open(io.BytesIO(panel.content))
    assert picture.format == "WEBP"
    assert picture.size == (panel.width, panel.height)
    return np.array(picture.convert("RGB")).astype(np.int64)


def tinted(picture: NDArray[np.int64], colour: str) -> NDArray[np.bool_]:
    """Where a picture of grey_levels around 128 leans towards a colour."""
    tint = np.array(list(bytes.fromhex(colour[1:])), dtype=float)
    lean, apart = tint - tint.mean(), picture - picture.mean(-1, keepdims=True)
    found: NDArray[np.bool_] = (apart * lean).sum(-1) > 0.5 * (lean**2).sum()
    return found


def test_four_kinds_of_pictures() -> None:
    panels = drawn(a_case())
    assert [panel.caption for panel in panels.panels] == [
        "scan",
        "reference solid, prediction dashed",
        "differences",
    ]
    assert [panel.caption for panel in panels.maps] == [
        "axial, up to 3.5 mm",  # 7 slices of 0.5 mm
        "coronal, up to 1.5 mm",
        "sagittal, up to 6 mm",
    ]


def test_without_reference_there_is_nothing_to_compare() -> None:
    panels = drawn(a_case(reference=None))
    assert [panel.caption for panel in panels.panels] == ["scan", "prediction"]
    assert panels.maps == ()
    assert tinted(pixels(panels.panels[1]), CORE.colour).any()


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SLA"])
def test_differences_lie_where_the_prediction_is_wrong(codes: str) -> None:
    picture = pixels(drawn(a_case(codes)).panels[2])
    extra = np.argwhere(tinted(picture, FALSE_POSITIVE))
    # 12 x 24 mm on 420 pixels: 17.5 pixels a mm, the right on the left, the back below.
    assert picture.shape == (420, 210, 3)
    top_left, bottom_right = extra.min(0), extra.max(0) + 1
    np.testing.assert_allclose(top_left, ((16 - 4) * 1.5 * 17.5, (12 - 11) * 17.5), atol=2)
    np.testing.assert_allclose(bottom_right, ((16 - 3) * 1.5 * 17.5, (12 - 5) * 17.5), atol=2)
    assert not tinted(picture, FALSE_NEGATIVE).any()


def test_the_slice_with_most_errors_may_be_shown() -> None:
    predicted = np.zeros(SHAPE, np.uint8)
    predicted[5:11, 4:14, 2:9] = 1
    predicted[0:3, 0:3, 15] = 2
    case = a_case(predicted=predicted)
    assert drawn(case).place == "axial 3 of 20"
    assert drawn(case, by_errors=True).place == "axial 16 of 20 with most errors"
    right = a_case(predicted=a_case().reference.voxels)  # type: ignore[union-attr]
    assert drawn(right, by_errors=True).place == "axial 3 of 20"


def test_small_structures_are_cut_out_in_the_proportions_of_the_slice() -> None:
    affine = np.diag([0.6, 0.6, 3.0, 1.0])
    label = np.zeros((200, 300, 4), np.uint8)
    label[120:130, 250:270, 1] = 1
    volume = Volume(label, affine)
    case = ShownCase("case", volume.with_voxels(np.zeros(label.shape)), volume, volume, (CORE,))
    panels = drawn(case).panels
    assert panels[0].caption == "scan; the frame is enlarged"
    assert len({(panel.width, panel.height) for panel in panels}) == 1
    # 15 % of the slice are shown: 30 x 45 voxels, of which the structure fills 10 x 20.
    inner = pixels(panels[2])[40:-40, 40:-40]  # without letters
    agreeing = np.argwhere(np.abs(inner - 0.4 * 238).max(-1) < 8)
    height, width = agreeing.max(0) + 1 - agreeing.min(0)
    assert width == pytest.approx(panels[2].width * 10 / 30, abs=2)
    assert height == pytest.approx(panels[2].height * 20 / 45, abs=2)


@pytest.mark.parametrize("shape", [(40, 30, 5), (8, 9, 600), (20, 30, 1)])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_any_number_of_slices(shape: tuple[int, int, int], plane: str) -> None:
    label = np.zeros(shape, np.uint8)
    label[2:6, 3:7, :1] = 1
    volume = Volume(label, np.diag([1.0, 1.0, 4.0, 1.0]))
    case = ShownCase("case", volume, volume, volume.with_voxels(label[::-1]), (CORE,))
    panels = drawn(case, plane, by_errors=True)
    for panel in (*panels.panels, *panels.maps):
        assert min(panel.width, panel.height) >= 24
        pixels(panel)


@pytest.mark.parametrize("which", ["predicted", "reference", "both"])
def test_empty_masks(which: str) -> None:
    empty = np.zeros(SHAPE, np.uint8)
    names = ("predicted", "reference") if which == "both" else (which,)
    panels = drawn(a_case(**dict.fromkeys(names, empty)), by_errors=True)
    assert len(panels.panels) == 3
    expected = {"predicted": FALSE_NEGATIVE, "reference": FALSE_POSITIVE}.get(which)
    picture = pixels(panels.panels[2])
    for colour in (FALSE_POSITIVE, FALSE_NEGATIVE):
        assert tinted(picture, colour).any() == (colour == expected)


def test_a_plain_picture_has_no_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(
        "PIL.ImageDraw.ImageDraw.text", lambda _, __, letter, *___, **____: written.append(letter)
    )
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    picture = Volume(np.zeros((9, 7, 1)), affine, warnings=(NO_GEOMETRY,))
    mask = Volume(np.ones((9, 7, 1), np.uint8), affine)
    drawn(ShownCase("x-ray", picture, mask, mask, (CORE,)))
    assert written == []
    drawn(a_case())
    assert {"R", "L", "A", "P", "S", "I"} == {text for text in written if text.isalpha()}


def test_a_colour_bar_has_the_scale_of_the_error_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[str] = []
    monkeypatch.setattr(
        "PIL.ImageDraw.ImageDraw.text", lambda _, __, text, *___, **____: numbers.append(text)
    )
    panels = drawn(a_case())
    assert panels.colour_bar is not None
    most = max(float(panel.caption.split("up to ")[1].removesuffix(" mm")) for panel in panels.maps)
    assert [text for text in numbers if not text.isalpha()] == [
        "0",
        f"{most / 4:.3g}",
        f"{most:.3g}",
    ]
    # From black at the bottom to bright yellow at the top.
    bar = pixels(panels.colour_bar)[:, 18].sum(-1)
    assert bar[20] > 500 > 100 > bar[-20]


def test_error_maps_are_brightest_where_errors_add_up() -> None:
    axial, coronal, _ = drawn(a_case()).maps
    # One row of voxels, wrong in all 7 slices, is seen from above as a bright line.
    bright = pixels(axial).sum(-1) > 600
    assert bright.any()
    assert bright.sum() < pixels(coronal).shape[0] * pixels(coronal).shape[1]
    same = a_case(predicted=a_case().reference.voxels)  # type: ignore[union-attr]
    assert [panel.caption for panel in drawn(same).maps] == [
        "axial, up to 0 mm",
        "coronal, up to 0 mm",
        "sagittal, up to 0 mm",
    ]


def test_same_case_same_bytes() -> None:
    assert drawn(a_case()) == drawn(a_case())


def test_outlines_lie_inside_with_gaps_where_dashed() -> None:
    rows = np.zeros((10, 10), np.uint8)
    rows[2:8, 3:7] = 1
    grey = Image.new("RGB", (100, 100), "#808080")
    solid = np.array(with_outline(grey, rows, (CORE,), dashed=False))
    red = (solid == (255, 0, 0)).all(-1)
    assert red[20:22, 30:70].all()
    assert not red[22:78, 32:68].any()
    assert not red[:20].any()
    black = (solid == 0).all(-1)
    assert black[19, 30:70].all()
    assert black.sum() == 2 * (60 + 40)
    dashed = np.array(with_outline(grey, rows, (CORE,), dashed=True))
    share = (dashed == (255, 0, 0)).all(-1).sum() / red.sum()
    assert 0.4 < share < 0.6


def test_differences_have_four_kinds() -> None:
    grey = Image.new("RGB", (4, 1), "#000000")
    picture = np.array(with_differences(grey, np.array([[1, 1, 0, 2]]), np.array([[1, 0, 2, 1]])))[
        0
    ]
    for place, (colour, share) in enumerate(
        ((AGREEMENT, 0.4), (FALSE_POSITIVE, 0.62), (FALSE_NEGATIVE, 0.62), (CONFUSED, 0.62))
    ):
        tint = np.array(list(bytes.fromhex(colour[1:])))
        np.testing.assert_allclose(picture[place], share * tint, atol=1)
