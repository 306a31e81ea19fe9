"""A thumbnail shows the right slice, the right way round, in the body's proportions."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from slicewise.errors import OutputError
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume
from slicewise.reporting.data_check import thumbnails
from slicewise.reporting.data_check.thumbnails import (
    MAX_BYTES,
    SIDE_PIXELS,
    StoredThumbnails,
    Thumbnail,
    draw_thumbnail,
    outline_colours,
)

SHAPE = (12, 16, 20)
SPACING_MM = (1.0, 1.5, 0.5)  # 12 x 24 x 10 mm
RED, GREEN = "#ff0000", "#00ff00"
COLOURS = {1: RED, 2: GREEN}


def a_scan(codes: str = "RAS") -> tuple[Volume, Volume]:
    """Grey all over; 1 lies right, front and low, 2 left, back and high; both in slice 8."""
    affine = np.diag([*SPACING_MM, 1.0])
    label = np.zeros(SHAPE, np.uint8)
    label[7:11, 8:14, 2:9] = 1
    label[1:5, 2:9, 8:18] = 2
    voxels = np.linspace(90, 110, label.size).reshape(SHAPE)
    return (
        Volume(voxels, affine, "scan").reoriented(codes),
        Volume(label, affine, "label").reoriented(codes),
    )


def pixels(thumbnail: Thumbnail) -> NDArray[np.int64]:
    """(H, W, 3), row 0 at the top."""
    picture = Image.open(io.BytesIO(thumbnail.content))
    assert picture.format == "WEBP"
    assert picture.size == (thumbnail.width, thumbnail.height)
    return np.array(picture.convert("RGB")).astype(np.int64)


def coloured(picture: NDArray[np.int64], colour: str) -> NDArray[np.bool_]:
    """Where one channel stands out."""
    channel = {RED: 0, GREEN: 1}[colour]
    others = [other for other in range(3) if other != channel]
    found: NDArray[np.bool_] = picture[..., channel] > picture[..., others].max(-1) + 80
    return found


def centre(picture: NDArray[np.int64], colour: str) -> NDArray[np.float64]:
    """Mean row and column of an outline."""
    places = np.argwhere(coloured(picture, colour))
    assert len(places) > 20
    centre: NDArray[np.float64] = places.mean(0)
    return centre


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SLA", "AIR"])
@pytest.mark.parametrize(
    ("plane", "size_mm", "one_is"),
    [
        ("axial", (12, 24), ("above", "left")),
        ("coronal", (12, 10), ("below", "left")),
        ("sagittal", (24, 10), ("below", "left")),
    ],
)
def test_planes_are_seen_as_radiologists_do(
    codes: str, plane: str, size_mm: tuple[int, int], one_is: tuple[str, str]
) -> None:
    scan, label = a_scan(codes)
    # Both structures in every slice.
    axis = ("sagittal", "coronal", "axial").index(plane)
    upright = label.reoriented("RAS").voxels
    both = np.zeros(SHAPE, np.uint8)
    both[np.broadcast_to((upright == 1).any(axis, keepdims=True), SHAPE)] = 1
    both[np.broadcast_to((upright == 2).any(axis, keepdims=True), SHAPE)] = 2
    label = Volume(both, np.diag([*SPACING_MM, 1.0])).reoriented(codes)
    thumbnail = draw_thumbnail(scan, label, plane, COLOURS)
    picture = pixels(thumbnail)
    row, column = centre(picture, RED) - centre(picture, GREEN)
    assert ("above" if row < 0 else "below", "left" if column < 0 else "right") == one_is
    width_mm, height_mm = size_mm
    assert max(thumbnail.width, thumbnail.height) == SIDE_PIXELS
    assert thumbnail.width / thumbnail.height == pytest.approx(width_mm / height_mm, rel=0.01)
    assert thumbnail.plane == plane


@pytest.mark.parametrize(
    ("plane", "letters"), [("axial", "RLPA"), ("coronal", "RLIS"), ("sagittal", "APIS")]
)
def test_letters_stand_at_the_borders(
    monkeypatch: pytest.MonkeyPatch, plane: str, letters: str
) -> None:
    written: dict[str, tuple[Any, str]] = {}

    def remember(_: Any, place: Any, letter: str, *__: Any, anchor: str, **___: Any) -> None:
        written[anchor] = (place, letter)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", remember)
    thumbnail = draw_thumbnail(a_scan()[0], None, plane, {})
    # Middle of the left, right, bottom and top border.
    places = {anchor: place for anchor, (place, _) in written.items()}
    assert places["lm"] == (3, thumbnail.height / 2)
    assert places["rm"] == (thumbnail.width - 3, thumbnail.height / 2)
    assert places["mb"] == (thumbnail.width / 2, thumbnail.height - 3)
    assert places["mt"] == (thumbnail.width / 2, 3)
    assert "".join(written[anchor][1] for anchor in ("lm", "rm", "mb", "mt")) == letters


def test_letters_can_be_read_on_black_and_on_white() -> None:
    for value in (0.0, 1.0):
        scan = Volume(np.full(SHAPE, value), np.diag([*SPACING_MM, 1.0]))
        border = pixels(draw_thumbnail(scan, None, "axial", {}))[:22]
        assert border.max() - border.min() > 150


def test_the_slice_with_the_largest_labelled_area_is_shown() -> None:
    scan, label = a_scan()
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[5, 5, :] = 1
    voxels[2:6, 2:6, 14] = 2
    thumbnail = draw_thumbnail(scan, label.with_voxels(voxels), "axial", COLOURS)
    assert (thumbnail.slice_number, thumbnail.slice_count) == (15, 20)
    # Counted from the feet, whatever the order of storage.
    turned = draw_thumbnail(
        scan.reoriented("LPI"), label.with_voxels(voxels).reoriented("LPI"), "axial", COLOURS
    )
    assert turned == thumbnail


@pytest.mark.parametrize("with_empty_label", [False, True])
def test_without_a_label_the_middle_slice_is_shown(with_empty_label: bool) -> None:
    scan, label = a_scan()
    empty = label.with_voxels(np.zeros(SHAPE, np.uint8)) if with_empty_label else None
    thumbnail = draw_thumbnail(scan, empty, "coronal", COLOURS)
    assert thumbnail.slice_number == 9
    assert not coloured(pixels(thumbnail), RED).any()


def test_only_the_border_of_a_structure_is_drawn() -> None:
    scan, label = a_scan()
    picture = pixels(draw_thumbnail(scan, label, "axial", COLOURS))
    # Slice 8 holds 4 x 6 voxels of 1, right and in front: 10 pixels a mm, R on the left.
    row = round((16 - 11) * 1.5 * 10)
    column = round((12 - 9) * 1.0 * 10)
    middle = picture[row - 3 : row + 4, column - 3 : column + 4]
    assert not coloured(middle, RED).any()
    marked = np.argwhere(coloured(picture, RED))
    top, left = marked.min(0)
    bottom, right = marked.max(0) + 1
    np.testing.assert_allclose((top, bottom), (30, 120), atol=3)
    np.testing.assert_allclose((left, right), (10, 50), atol=3)


def test_values_without_a_colour_are_not_drawn() -> None:
    scan, label = a_scan()
    picture = pixels(draw_thumbnail(scan, label, "axial", {1: RED}))
    assert coloured(picture, RED).any()
    assert not coloured(picture, GREEN).any()


@pytest.mark.parametrize("kind", ["flat", "nan", "negative", "single"])
def test_odd_scans_are_drawn_all_the_same(kind: str) -> None:
    scan, _ = a_scan()
    voxels = scan.voxels.copy()
    if kind == "flat":
        voxels[:] = 7
    elif kind == "nan":
        voxels[:, :3] = np.nan
        voxels[0, 5] = np.inf
    elif kind == "negative":
        voxels -= 1000
    else:
        voxels = voxels[:, :, :1]
    thumbnail = draw_thumbnail(Volume(voxels, scan.affine), None, "axial", {})
    assert pixels(thumbnail).shape == (240, 120, 3)


def test_a_strip_stays_visible() -> None:
    scan = Volume(np.arange(200.0).reshape(200, 1, 1), np.eye(4))
    thumbnail = draw_thumbnail(scan, None, "axial", {})
    assert (thumbnail.width, thumbnail.height) == (240, 24)


def test_pictures_are_small_and_the_same_again() -> None:
    noise = np.random.default_rng(0).normal(size=(256, 256, 3))
    scan = Volume(noise, np.eye(4))
    first, second = (draw_thumbnail(scan, None, "axial", {}) for _ in range(2))
    assert first == second
    smooth = draw_thumbnail(*a_scan(), "axial", COLOURS)
    assert len(smooth.content) <= MAX_BYTES
    # Pure noise cannot be as small, but lowers its quality.
    assert len(first.content) < 4 * MAX_BYTES


def test_structures_have_their_colour_and_others_one_of_the_palette() -> None:
    colours = outline_colours([9, 3, 1], [Structure("core", 3, RED)])
    assert list(colours) == [1, 3, 9]
    assert colours[3] == RED
    # Eight values further the palette of seven begins again.
    assert colours[9] != colours[1] == outline_colours([8], [])[8]


@pytest.mark.parametrize("in_memory_bytes", [1, 32_000_000])
def test_pictures_are_kept_in_memory_or_in_a_file_that_nobody_else_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory_bytes: int
) -> None:
    monkeypatch.setattr(thumbnails, "_IN_MEMORY_BYTES", in_memory_bytes)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pictures = {f"c{n}": Thumbnail(bytes(range(n)), n, 2, "axial", 1, 3) for n in range(5)}
    with closing(StoredThumbnails()) as stored:
        for name, picture in pictures.items():
            stored.store(name, picture)
            assert stored[name] == picture
        assert dict(stored) == pictures
        assert (len(stored), "c0" in stored, stored.get("x")) == (5, True, None)
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(thumbnails, "_IN_MEMORY_BYTES", 1)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with (
        closing(StoredThumbnails()) as stored,
        pytest.raises(OutputError, match="No space left") as caught,
    ):
        stored.store("a", Thumbnail(b"", 1, 1, "axial", 1, 1))
    assert "TMPDIR" in caught.value.remedy
