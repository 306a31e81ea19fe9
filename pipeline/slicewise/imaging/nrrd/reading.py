"""Reads scans, label maps and 3D Slicer segmentations from NRRD files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.config import ReadingSection
from slicewise.errors import GeometryError, LabelError, ScanError
from slicewise.imaging.nifti.stream import read_from
from slicewise.imaging.nrrd.header import NrrdHeader, nrrd_header
from slicewise.imaging.structures import plain_name
from slicewise.imaging.volume import SAME_GRID_VOXELS, Volume

SEGMENTATION_SUFFIX = ".seg.nrrd"
_SUFFIX = ".nrrd"
_SEGMENT = re.compile(r"Segment(\d+)_(Name|LabelValue|Layer)")


def is_nrrd(path: Path) -> bool:
    """Whether a path has the suffix of NRRD."""
    return path.name.lower().endswith(_SUFFIX) and not path.name.startswith(".")


def is_nrrd_segmentation(path: Path) -> bool:
    """Whether a path has the suffix of a segmentation of 3D Slicer."""
    return is_nrrd(path) and path.name.lower().endswith(SEGMENTATION_SUFFIX)


def nrrd_stem(path: Path) -> str:
    """File name without its suffix."""
    suffix = SEGMENTATION_SUFFIX if is_nrrd_segmentation(path) else _SUFFIX
    return path.name[: -len(suffix)]


def read_nrrd(path: Path, reading: ReadingSection = ReadingSection()) -> Volume:
    """Read a scan or a label map, and verify the file to its last byte.

    Returns:
        Voxels of shape (X, Y, Z) as stored. ``header`` is None.

    Raises:
        ScanError: damaged, excessive size, or several volumes.
        GeometryError: no position in the patient.
    """
    header = nrrd_header(path)
    if header.layers > 1:
        raise ScanError(
            f"{path}: sizes",
            expected="one volume",
            found=f"{header.layers} volumes in one file",
            remedy="save each volume as a file, or all as NIfTI",
        )
    voxels = _stored(path, header)[0]
    warnings: tuple[str, ...] = ()
    if reading.non_finite != "refuse" and voxels.dtype.kind == "f":
        finite = np.isfinite(voxels)
        broken = int(finite.size - np.count_nonzero(finite))
        if broken:
            voxels = np.where(finite, voxels, voxels.dtype.type(0))
            warnings = (f"{broken} NaN or infinite voxels were replaced by 0",)
    return Volume(voxels, header.affine, nrrd_stem(path), warnings=warnings)


def read_nrrd_segmentation(
    path: Path, names: Mapping[str, int], onto: Volume | None = None
) -> Volume:
    """Read a segmentation of 3D Slicer as a label map.

    Values are those of the configured structures with the names of the segments, or else those of
    the file if they are distinct, or else the numbers of the segments.

    Args:
        path: of the file.
        names: structure name to value, as configured.
        onto: image of the segmentation, which may be a crop of its grid. None takes the grid of
            the file.

    Raises:
        ScanError: damaged, or of excessive size.
        GeometryError: the grid is not part of that of the image.
        LabelError: overlapping segments, or only some of them have configured names.
    """
    header = nrrd_header(path)
    layers = _stored(path, header)  # (layers, X, Y, Z)
    segments = _segments(header)
    values, warnings = _values(path, segments, names)
    smallest = np.min_scalar_type(max(values, default=0))
    labels = np.zeros(header.shape, dtype=smallest, order="F")
    known = np.zeros(header.shape, dtype=np.bool_)
    for segment, value in zip(segments, values, strict=True):
        inside = layers[segment.layer] == segment.stored_value
        if (inside & known).any():
            raise LabelError(
                path,
                expected="segments without overlap, because a voxel has one label",
                found=f"{int((inside & known).sum())} voxels of {segment.name} in another segment",
                remedy="remove the overlap in 3D Slicer, or export each segment to a file",
            )
        known |= inside
        labels[inside] = value
    if ((layers != 0).any(axis=0) & ~known).any():
        raise LabelError(
            path,
            expected="a description of every segment",
            found="voxels of a segment that is not described",
            remedy="export the segmentation again",
        )
    own = Volume(labels, header.affine, nrrd_stem(path), warnings=warnings)
    return own if onto is None else _uncropped(own, onto, path)


@dataclass(frozen=True)
class _Segment:
    """A segment: the voxels of a layer that have its value."""

    name: str
    layer: int
    stored_value: int


def _stored(path: Path, header: NrrdHeader) -> NDArray[Any]:
    """Voxels of shape (layers, X, Y, Z) as stored."""
    size = int(np.prod(header.sizes, dtype=object)) * header.dtype.itemsize
    content = read_from(path, header.offset, size, compressed=header.is_compressed)
    stored = np.frombuffer(content, header.dtype).reshape(header.sizes, order="F")
    native: NDArray[Any] = stored.astype(header.dtype.newbyteorder("="), copy=False)
    return native if native.ndim == 4 else native[None]


def _segments(header: NrrdHeader) -> list[_Segment]:
    fields: dict[int, dict[str, str]] = {}
    for key, value in header.keys.items():
        if found := _SEGMENT.fullmatch(key):
            fields.setdefault(int(found[1]), {})[found[2]] = value
    # Until Slicer 4.10 each segment had a layer of its own, with the value 1.
    return [
        _Segment(
            one.get("Name", f"Segment {number + 1}"),
            _integer(one.get("Layer"), number if header.layers > 1 else 0),
            _integer(one.get("LabelValue"), 1),
        )
        for number, one in sorted(fields.items())
        if _integer(one.get("Layer"), 0) < header.layers
    ]


def _integer(text: str | None, default: int) -> int:
    return int(text) if text is not None and re.fullmatch(r"\d{1,9}", text.strip()) else default


def _values(
    path: Path, segments: Sequence[_Segment], names: Mapping[str, int]
) -> tuple[list[int], tuple[str, ...]]:
    by_name = {plain_name(name): value for name, value in names.items()}
    named = [by_name.get(plain_name(segment.name)) for segment in segments]
    found = [value for value in named if value is not None]
    if segments and len(found) == len(segments):
        return found, ()
    if found:
        others = [s.name for s, value in zip(segments, named, strict=True) if value is None]
        raise LabelError(
            path,
            expected="names of data.labels for all segments, or for none",
            found=f"other names for the segments {', '.join(others)}",
            remedy="add these structures to data.labels",
        )
    stored = [segment.stored_value for segment in segments]
    if len(set(stored)) == len(stored) and 0 not in stored:
        text = "the label values of the segments are used, because none has a name of data.labels"
        return stored, (text,) if names else ()
    text = "numbers of segments are used as values, because several have the same label value"
    return list(range(1, len(segments) + 1)), (text,)


def _uncropped(labels: Volume, image: Volume, path: Path) -> Volume:
    """The labels on the grid of their image, if theirs is a part of it; else unchanged.

    3D Slicer stores the smallest box that contains all segments.
    """
    part = labels.reoriented(image.orientation)
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in part.shape])).reshape(3, -1).T
    places = image.voxel_index(part.world_position_mm(corners))
    offset = np.rint(places[0] - corners[0]).astype(int)
    if np.abs(places - corners - offset).max() > SAME_GRID_VOXELS:
        return labels
    low = np.maximum(offset, 0)
    high = np.minimum(offset + part.shape, image.shape)
    inside = tuple(slice(a, max(a, b)) for a, b in zip(low - offset, high - offset, strict=True))
    placed = np.zeros(image.shape, dtype=part.voxels.dtype, order="F")
    placed[tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))] = part.voxels[inside]
    outside = int(np.count_nonzero(part.voxels) - np.count_nonzero(placed))
    if outside:
        raise GeometryError(
            path,
            expected=f"segments within {image.name}, shape {image.shape}",
            found=f"{outside} voxels outside of it",
            remedy="give the image that the segmentation was drawn on",
        )
    return replace(labels, voxels=placed, affine=image.affine)
