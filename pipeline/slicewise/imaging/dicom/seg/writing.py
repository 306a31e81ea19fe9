"""A label map and the DICOM series that it was drawn on in, a DICOM SEG out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.errors import (
    ConfigError,
    GeometryError,
    LabelError,
    OutputError,
    file_problem,
)
from slicewise.imaging.dicom.seg.encoding import (
    SegmentationContent,
    encode_segmentation,
)
from slicewise.imaging.dicom.seg.identity import Identity
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.dicom.seg.source_slices import OTHER_FORMATS
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.files import atomic_file
from slicewise.imaging.labels import whole_numbers
from slicewise.imaging.sandbox import Sandbox, shared_sandbox
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume, require_same_grid

START_SECONDS = 60.0
SECONDS_PER_SLICE = 2.0
MAXIMUM_NAME_LETTERS = 64


def write_segmentation(
    mask: Volume,
    series: DicomSeries,
    structures: Sequence[Structure],
    algorithm: Algorithm,
    path: Path,
    identity: Identity,
    sandbox: Sandbox | None = None,
) -> None:
    """Write a label map as a DICOM SEG that refers to the slices of its source.

    Structures with voxels become the segments 1, 2, ... in their order; frames without voxels
    are left out. Where no structure has a voxel, all of them become segments, and every frame is
    there and empty: looked for, and not found. The same arguments give the same file, byte by byte.

    Args:
        mask: label map on the grid of the series; 0 is background.
        series: as it was found; not tiled, not resampled.
        structures: what the values of the mask mean.
        algorithm: what made the mask.
        path: the file to write.
        identity: what the file says about the patient.
        sandbox: where headers are parsed; by default the one of this process.

    Raises:
        GeometryError: the mask lies on another grid, or the slices are no frames of their own.
        LabelError: a value that no structure has, or values that are no whole numbers.
        ConfigError: a name that DICOM cannot hold.
        ScanError: a source cannot be read or referred to.
        OutputError: the file cannot be written, or does not read back as it was written.
    """
    require_referable(series)
    require_same_grid(_grid_of(series), mask, tolerance_voxels=1e-3)
    _require_names(structures, algorithm)
    segments, numbers = _segments(mask, structures)
    content = SegmentationContent(series, segments, algorithm, identity)
    with tempfile.TemporaryDirectory(prefix="slicewise-") as folder, atomic_file(path) as temporary:
        # A file costs less than a pipe.
        numbers_file = Path(folder) / "numbers.npy"
        _save(numbers, numbers_file)
        (sandbox or shared_sandbox()).call(
            encode_segmentation,
            content,
            numbers_file,
            temporary,
            where=series.files[0],
            timeout_seconds=START_SECONDS + SECONDS_PER_SLICE * series.shape[2],
        )


def require_referable(series: DicomSeries) -> None:
    """Refuse a series whose slices are no files or frames that a segmentation could refer to.

    Raises:
        GeometryError: a mosaic, or a resampled stack.
    """
    if series.tiles:
        raise GeometryError(
            series.files[0],
            expected="slices that are files or frames, for a segmentation to refer to",
            found="a Siemens mosaic, whose slices are tiled into one image",
            remedy=OTHER_FORMATS,
        )
    if series.resampling is not None:
        raise GeometryError(
            series.files[0],
            expected="slices at even distances above each other",
            found="a grid that the slices were resampled onto, and that none of them lies on",
            remedy=OTHER_FORMATS,
        )


def _grid_of(series: DicomSeries) -> Volume:
    # No memory: one zero, seen from everywhere.
    return Volume(np.broadcast_to(np.uint8(0), series.shape), series.affine, str(series))


def _require_names(structures: Sequence[Structure], algorithm: Algorithm) -> None:
    names = {f"structure {one.name}": one.name for one in structures}
    names |= {"name of the model": algorithm.name, "version of the model": algorithm.version}
    for where, name in names.items():
        fits = 1 <= len(name) <= MAXIMUM_NAME_LETTERS and name.strip()
        if not fits or not name.isprintable() or "\\" in name:
            raise ConfigError(
                where,
                expected=f"1 to {MAXIMUM_NAME_LETTERS} characters without a backslash",
                found=f"{len(name)} characters",
                remedy="choose a name that DICOM can hold",
            )


def _segments(
    mask: Volume, structures: Sequence[Structure]
) -> tuple[tuple[Structure, ...], NDArray[np.unsignedinteger[Any]]]:
    """What the segments show, and their numbers, shape (slices, rows, columns)."""
    labels = whole_numbers(mask.voxels, mask.name)
    present = {int(value) for value in np.unique(labels)} - {0}
    unknown = sorted(present - {one.value for one in structures})
    if unknown:
        raise LabelError(
            mask.name,
            expected="values " + ", ".join(f"{one.value} ({one.name})" for one in structures),
            found=", ".join(map(str, unknown)),
            remedy="name every value in data.labels",
        )
    segments = tuple(one for one in structures if one.value in present) or tuple(structures)
    places = {one.value: number for number, one in enumerate(segments, start=1)}
    values = sorted({0, *places})
    table = np.array([places.get(value, 0) for value in values], np.min_scalar_type(len(segments)))
    slices = labels.transpose(2, 1, 0)  # (slices, rows, columns)
    numbers = np.empty(slices.shape, table.dtype)
    for number, one in zip(numbers, slices, strict=True):
        number[:] = table[np.searchsorted(values, one)]
    return segments, numbers


def _save(numbers: NDArray[np.unsignedinteger[Any]], path: Path) -> None:
    try:
        np.save(path, numbers)
    except OSError as error:
        raise OutputError(
            path,
            expected="room for temporary files",
            found=file_problem(error),
            remedy="free space, or name another temporary folder in TMPDIR",
        ) from error
