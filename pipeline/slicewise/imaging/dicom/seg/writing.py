"""Writes label maps as DICOM SEG."""

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
from slicewise.quantities import counted

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

    Structures with voxels become the segments 1, 2, ... in their order; frames without voxels are
    omitted. If no structure has a voxel, all become segments with empty frames: searched, but not
    found. The output is deterministic.

    Args:
        mask: label map on the grid of the series; 0 is background.
        series: source of the mask; not a mosaic, and not resampled.
        structures: of the values of the mask.
        algorithm: that created the mask.
        path: of the file.
        identity: how the patient is identified.
        sandbox: child processes that parse headers; by default the shared one.

    Raises:
        GeometryError: the mask is on another grid, or the slices are not separate frames.
        LabelError: a value without a structure, or values that are not whole numbers.
        ConfigError: a name that is not valid in DICOM.
        ScanError: a source cannot be read or referred to.
        OutputError: the file cannot be written, or differs when it is read back.
    """
    require_referable(series)
    require_same_grid(_grid_of(series), mask, tolerance_voxels=1e-3)
    _require_names(structures, algorithm)
    segments, numbers = _segments(mask, structures)
    content = SegmentationContent(series, segments, algorithm, identity)
    with tempfile.TemporaryDirectory(prefix="slicewise-") as folder, atomic_file(path) as temporary:
        # Faster than a pipe.
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
    """Require a series whose slices are files or frames that a segmentation can refer to.

    Raises:
        GeometryError: a mosaic, or a resampled stack.
    """
    if series.tiles:
        raise GeometryError(
            series.files[0],
            expected="slices that are files or frames, which a segmentation can refer to",
            found="a Siemens mosaic, whose slices are tiles of one image",
            remedy=OTHER_FORMATS,
        )
    if series.resampling is not None:
        raise GeometryError(
            series.files[0],
            expected="slices on a regular grid",
            found="slices that were resampled onto a regular grid",
            remedy=OTHER_FORMATS,
        )


def _grid_of(series: DicomSeries) -> Volume:
    # A broadcast view, which needs no memory.
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
                found=counted(len(name), "character"),
                remedy="choose a name that is valid in DICOM",
            )


def _segments(
    mask: Volume, structures: Sequence[Structure]
) -> tuple[tuple[Structure, ...], NDArray[np.unsignedinteger[Any]]]:
    """Structures of the segments, and segment numbers of shape (slices, rows, columns)."""
    labels = whole_numbers(mask.voxels, mask.name)
    present = {int(value) for value in np.unique(labels)} - {0}
    unknown = sorted(present - {one.value for one in structures})
    if unknown:
        raise LabelError(
            mask.name,
            expected="values " + ", ".join(f"{one.value} ({one.name})" for one in structures),
            found="values " + ", ".join(map(str, unknown)),
            remedy="add these values to data.labels",
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
            expected="space for temporary files",
            found=file_problem(error),
            remedy="free space, or name another temporary folder in TMPDIR",
        ) from error
