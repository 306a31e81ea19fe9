"""Reads the volume of a DICOM series; pixels are decoded in the sandbox."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.config import ReadingSection
from slicewise.errors import OutputError, ScanError, file_problem
from slicewise.imaging.dicom.facts import acquisition_facts
from slicewise.imaging.dicom.pixels import Slice, decode_series
from slicewise.imaging.dicom.projection import UNKNOWN_SPACING
from slicewise.imaging.dicom.resampling import resampled
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.sandbox import ChildDiedError, Sandbox, shared_sandbox
from slicewise.imaging.volume import Volume

START_SECONDS = 60.0
SECONDS_PER_SLICE = 2.0


def read_series(
    series: DicomSeries,
    sandbox: Sandbox | None = None,
    reading: ReadingSection = ReadingSection(),
) -> Volume:
    """Decode the pixels of a series.

    Args:
        series: found by a ``DicomScanner``.
        sandbox: child processes that decode pixels; by default the shared one.
        reading: whether infinite voxels are replaced.

    Returns:
        Voxels of shape (columns, rows, slices) in ``series.voxel_type``: the stored integers, or
        float32 if a file has a rescale slope or intercept. ``header`` is None.

    Raises:
        ScanError: a file is truncated, damaged, has changed, or cannot be decoded.
        OutputError: not enough space for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="slicewise-") as folder:
        # Faster than a pipe, and its size shows which slice made the decoder die.
        target = Path(folder) / "voxels.raw"
        sandbox = sandbox or shared_sandbox()
        _decode(series, target, sandbox)
        flat = np.fromfile(target, dtype=series.voxel_type)
    columns, rows, _ = series.shape
    voxels = flat.reshape(-1, rows, columns).transpose(2, 1, 0)  # (columns, rows, slices)
    if series.resampling is not None:
        voxels = resampled(voxels, series.resampling)
    voxels, noticed = _finite(series, voxels, reading)
    return Volume(
        voxels=voxels,
        affine=series.affine,
        name=series.name,
        warnings=(*series.warnings, *noticed, *_flat_warnings(voxels)),
        acquisition=acquisition_facts(series, sandbox),
        spacing_is_known=UNKNOWN_SPACING not in series.warnings,
    )


def _decode(series: DicomSeries, target: Path, sandbox: Sandbox) -> None:
    try:
        sandbox.call(
            decode_series,
            [
                Slice(path, frame, series.tiles)
                for path, frame in zip(series.files, series.frames, strict=True)
            ],
            series.shape[:2],
            series.voxel_type,
            target,
            where=series.files[0],
            timeout_seconds=START_SECONDS + SECONDS_PER_SLICE * len(series.members),
        )
    except ChildDiedError as error:
        raise ScanError(
            series.files[_slices_written(series, target)],
            expected=error.expected,
            found=error.found,
            remedy=error.remedy,
        ) from error
    except OSError as error:
        raise OutputError(
            target,
            expected="space for the decoded voxels",
            found=file_problem(error),
            remedy="free space, or name another temporary folder in TMPDIR",
        ) from error


def _slices_written(series: DicomSeries, target: Path) -> int:
    columns, rows, _ = series.shape
    slice_bytes = columns * rows * np.dtype(series.voxel_type).itemsize
    written_bytes = target.stat().st_size if target.exists() else 0
    return min(written_bytes // slice_bytes, len(series.members) - 1)


def _finite(
    series: DicomSeries, voxels: NDArray[Any], reading: ReadingSection
) -> tuple[NDArray[Any], tuple[str, ...]]:
    # A rescale slope may cause an overflow.
    broken = int(voxels.size - np.count_nonzero(np.isfinite(voxels)))
    if not broken:
        return voxels, ()
    if reading.non_finite == "refuse":
        raise ScanError(
            series.files[0],
            expected="finite grey values",
            found=f"{broken} NaN or infinite voxels in the series",
            remedy="correct the rescale slope and intercept, export the series again, or set "
            "reading.non_finite to zero",
        )
    replaced = np.where(np.isfinite(voxels), voxels, voxels.dtype.type(0))
    return replaced, (f"{broken} NaN or infinite voxels were replaced by 0",)


def _flat_warnings(voxels: NDArray[Any]) -> tuple[str, ...]:
    lowest, highest = voxels.min(axis=(0, 1)), voxels.max(axis=(0, 1))  # (slices,)
    if lowest.min() == highest.max():
        return (f"every voxel has the value {lowest[0]:g}",)
    flat = int(np.count_nonzero(lowest == highest))
    return (f"{flat} of {len(lowest)} slices are constant",) if flat else ()
