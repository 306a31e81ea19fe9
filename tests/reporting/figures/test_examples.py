"""The picture shows what it says, with the patient's right on the left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image as images
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from slicewise.errors import OutputError
from slicewise.imaging.volume import Volume
from slicewise.reporting.figures.examples import COLOURS, Example, draw_examples

LABELS = {"right_front": 1, "left_back": 2}
SHAPE = (12, 16, 20)
SPACINGS = {"axial": (1, 1, 3), "coronal": (1, 3, 1), "sagittal": (3, 1, 1)}


def a_scan(plane: str = "axial", codes: str = "RAS") -> tuple[Volume, Volume]:
    """An even scan and two blobs: right, front and low; left, back and high."""
    affine = np.diag([*SPACINGS[plane], 1.0])
    label = np.zeros(SHAPE, np.uint8)
    label[8:11, 11:14, 2:11] = 1  # towards R, A, I in RAS indices
    label[1:4, 2:5, 9:18] = 2
    voxels = np.full(SHAPE, 50.0)
    voxels[0] = voxels[:, 0] = voxels[..., 0] = 0
    scan = Volume(voxels, affine, "scan").reoriented(codes)
    return scan, Volume(label, affine, "mask").reoriented(codes)


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[Any]]:
    """The pictures as they appear: row 0 at the top."""
    seen: list[NDArray[Any]] = []
    inner = Axes.imshow

    def remember(axes: Axes, shown: NDArray[Any], **options: Any) -> Any:
        seen.append(shown[::-1] if options["origin"] == "lower" else shown)
        return inner(axes, shown, **options)

    monkeypatch.setattr(Axes, "imshow", remember)
    return seen


def places(picture: NDArray[Any], number: int) -> NDArray[np.float64]:
    """Mean row and column of the pixels of a structure over a white scan."""
    colour = 0.45 + 0.55 * np.array(to_rgb(COLOURS[number]))
    found = np.argwhere(np.abs(picture[..., :3] - colour).max(-1) < 0.03)
    assert len(found), f"structure {number} is not to be seen"
    return found.mean(0)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SLA"])
def test_png_has_the_right_side_on_the_left(tmp_path: Path, codes: str) -> None:
    scan, mask = a_scan("axial", codes)
    draw_examples([Example("case", scan, mask)], LABELS, tmp_path / "out" / "picture.png")
    content = (tmp_path / "out" / "picture.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    picture = images.imread(tmp_path / "out" / "picture.png")
    right_front, left_back = places(picture, 0), places(picture, 1)
    assert right_front[1] < left_back[1] - 20
    assert right_front[0] < left_back[0] - 20


@pytest.mark.parametrize("codes", ["RAS", "LPS", "AIL"])
@pytest.mark.parametrize(
    ("plane", "size", "right_front_is"),
    [
        # Rows count from the top, columns from the left.
        ("axial", (16, 12), ("above", "left")),
        ("coronal", (20, 12), ("below", "left")),
        ("sagittal", (20, 16), ("below", "left")),
    ],
)
def test_planes(
    tmp_path: Path,
    panels: list[NDArray[Any]],
    codes: str,
    plane: str,
    size: tuple[int, int],
    right_front_is: tuple[str, str],
) -> None:
    scan, mask = a_scan(plane, codes)
    # Both blobs in every plane: the slice with most of them need not hold both.
    both = mask.reoriented("RAS").voxels.copy()
    axis = ("sagittal", "coronal", "axial").index(plane)
    spread = np.where((both == 1).any(axis, keepdims=True), 1, 0)
    spread = np.where((both == 2).any(axis, keepdims=True), 2, spread)
    inside = scan.reoriented("RAS").voxels > 0
    whole = np.where(inside, spread, 0).astype(np.uint8)
    mask = Volume(whole, np.diag([*SPACINGS[plane], 1.0])).reoriented(codes)
    draw_examples([Example("case", scan, mask)], LABELS, tmp_path / "picture.png")
    assert [panel.shape for panel in panels] == [(*size, 3)] * 2
    row, column = places(panels[1], 0) - places(panels[1], 1)
    assert ("above" if row < 0 else "below", "left" if column < 0 else "right") == right_front_is


def test_the_slice_with_most_structure_is_shown(tmp_path: Path, panels: list[NDArray[Any]]) -> None:
    scan, mask = a_scan()
    few, many = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    few[:, :, 3], many[4:6, 4:6, 15] = 1, 1
    voxels = np.zeros(SHAPE)
    voxels[..., 15] = np.arange(12)[:, None]
    example = Example(
        "case", scan.with_voxels(voxels), mask.with_voxels(few), mask.with_voxels(many)
    )
    draw_examples([example], LABELS, tmp_path / "picture.png")
    # The reference decides.
    assert panels[0].std() > 0


def test_a_row_a_case_and_a_column_a_kind(tmp_path: Path, panels: list[NDArray[Any]]) -> None:
    scan, mask = a_scan()
    empty = mask.with_voxels(np.zeros(SHAPE, np.uint8))
    examples = [Example("one", scan, empty, mask), Example("two", scan, mask)]
    draw_examples(examples, LABELS, tmp_path / "two.png")
    assert len(panels) == 3 + 2
    plain, reference, prediction = panels[:3]
    assert np.abs(reference - plain).max() > 0.1
    np.testing.assert_array_equal(prediction, plain)
    draw_examples(examples[:1], LABELS, tmp_path / "one.png", note="SYNTHETIC")
    tall, flat = (images.imread(tmp_path / name) for name in ("two.png", "one.png"))
    assert tall.shape[0] - flat.shape[0] == pytest.approx(3.0 * 110, abs=2)


def test_same_picture_same_bytes(tmp_path: Path) -> None:
    scan, mask = a_scan()
    for name in ("one.png", "two.png"):
        draw_examples([Example("case", scan, mask)], LABELS, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_constant_scan_and_an_empty_mask(tmp_path: Path) -> None:
    scan, mask = a_scan()
    flat = scan.with_voxels(np.ones(SHAPE))
    nothing = mask.with_voxels(np.zeros(SHAPE, np.uint8))
    draw_examples([Example("case", flat, nothing)], LABELS, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 0


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    scan, mask = a_scan()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        draw_examples([Example("case", scan, mask)], LABELS, tmp_path / "file" / "picture.png")
