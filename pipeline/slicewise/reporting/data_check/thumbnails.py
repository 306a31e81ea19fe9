"""Thumbnails of scans with label contours, in radiological convention.

No slow imports: workers draw while they hold a scan.
"""

from __future__ import annotations

import io
import pickle
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from slicewise.dataset.plane import PLANES
from slicewise.errors import OutputError, file_problem
from slicewise.imaging.structures import COLOURS, Structure
from slicewise.imaging.volume import Volume
from slicewise.reporting.slice_images import (
    draw_orientation_letters,
    eroded,
    grey_levels,
    has_orientation,
    largest_slice,
    resized_labels,
    size_pixels,
    slice_rows,
)

SIDE_PIXELS = 240
"""Longer side of a picture."""
MAX_BYTES = 6144
"""Size limit, for which the quality is reduced."""
_IN_MEMORY_BYTES = 32_000_000
"""Of all thumbnails together; more are in a temporary file."""
_QUALITIES = (80, 65, 50, 35, 20)
_WINDOW_PERCENTILES = (1.0, 99.8)
_LETTER_PIXELS = 13


@dataclass(frozen=True)
class Thumbnail:
    """A picture and what it shows.

    Attributes:
        content: WebP.
        width: pixels.
        height: pixels.
        plane: sagittal, coronal or axial.
        slice_number: from 1, counted to the left, to the front or upwards.
        slice_count: slices of that plane.
    """

    content: bytes
    width: int
    height: int
    plane: str
    slice_number: int
    slice_count: int


class StoredThumbnails(Mapping[str, Thumbnail]):
    """Thumbnails by name of their case, in a temporary file if they are many."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, prefix="slicewise-")  # noqa: SIM115
        self._places: dict[str, int] = {}

    def store(self, name: str, thumbnail: Thumbnail) -> None:
        """Add the picture of a case.

        Raises:
            OutputError: the temporary file has no room.
        """
        self._places[name] = self._file.seek(0, io.SEEK_END)
        try:
            pickle.dump(thumbnail, self._file)
            self._file.flush()
        except OSError as error:
            raise OutputError(
                tempfile.gettempdir(),
                expected="space for the pictures of the page",
                found=file_problem(error),
                remedy="free space, or name another temporary folder in TMPDIR",
            ) from error

    def __getitem__(self, name: str) -> Thumbnail:
        self._file.seek(self._places[name])
        stored: Thumbnail = pickle.load(self._file)
        return stored

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


def draw_thumbnail(
    scan: Volume, label: Volume | None, plane: str, colours: Mapping[int, str]
) -> Thumbnail:
    """Draw the slice with the largest labelled area, or the middle one, with contours in colour.

    Axial and coronal slices have the patient's right on the left, and letters say so unless the
    scan is a plain picture. A pixel is as wide as it is high: the proportions are those of the
    body.

    Args:
        scan: intensities.
        label: label map on the grid of the scan, in any order of axes.
        plane: sagittal, coronal or axial.
        colours: #rrggbb of each label value; values without one are not outlined.
    """
    axis = PLANES.index(plane)
    upright = scan.reoriented("RAS")
    marked = None if label is None else label.reoriented("RAS").voxels
    number = upright.shape[axis] // 2 if marked is None else largest_slice(marked, axis)
    size = size_pixels(upright, axis, SIDE_PIXELS)
    grey = grey_levels(slice_rows(upright.voxels, axis, number), _WINDOW_PERCENTILES)
    picture = Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    if marked is not None:
        picture = _outlined(picture, slice_rows(marked, axis, number), colours)
    if has_orientation(scan):
        draw_orientation_letters(picture, axis, _LETTER_PIXELS)
    return Thumbnail(_encoded(picture), *size, plane, number + 1, upright.shape[axis])


def outline_colours(values: Iterable[int], structures: Sequence[Structure]) -> dict[int, str]:
    """A colour for each label value: the structure's own, or one that its number chooses."""
    named = {structure.value: structure.colour for structure in structures}
    return {
        value: named.get(value, COLOURS[(value - 1) % len(COLOURS)]) for value in sorted(values)
    }


def _outlined(picture: Image.Image, label: NDArray[Any], colours: Mapping[int, str]) -> Image.Image:
    """Draw the border of each structure, voxel by voxel: nothing is smoothed away."""
    pixels = np.array(picture)  # (H, W, 3)
    drawn = resized_labels(label, picture.size)
    for value, colour in colours.items():
        mask = drawn == value
        pixels[mask & ~eroded(eroded(mask))] = _rgb(colour)
    return Image.fromarray(pixels)


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def _encoded(picture: Image.Image) -> bytes:
    """WebP at the best quality that stays small."""
    content = b""
    for quality in _QUALITIES:
        stream = io.BytesIO()
        picture.save(stream, "WEBP", quality=quality, method=6, use_sharp_yuv=True)
        content = stream.getvalue()
        if len(content) <= MAX_BYTES:
            break
    return content
