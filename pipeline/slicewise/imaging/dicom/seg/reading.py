"""Reads DICOM SEG as label maps on the grid of their image."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from slicewise.errors import ScanError, file_problem
from slicewise.imaging.dicom.seg.decoding import (
    LabelGrid,
    decode_segmentation,
)
from slicewise.imaging.sandbox import Sandbox, shared_sandbox
from slicewise.imaging.volume import Volume

SECONDS_PER_FILE = 300.0
NO_NAMES: Mapping[str, int] = {}


def read_segmentation(
    path: Path,
    onto: Volume | None = None,
    sandbox: Sandbox | None = None,
    names: Mapping[str, int] = NO_NAMES,
) -> Volume:
    """Read a DICOM SEG, BINARY or LABELMAP, as a label map.

    Values are those that ``write_segmentation`` was given; in files of other software, those of the
    configured structures with the names of the segments, or the segment numbers. Omitted frames are
    background.

    Args:
        path: of the file.
        onto: the image that the segments were drawn on, with axes in any order and direction;
            frames must match its voxels within 0.01 voxel. None takes the smallest grid that
            contains all frames, (column, row, slice).
        sandbox: child processes that parse the file; by default the shared one.
        names: structure name to value, as configured.

    Returns:
        Labels in the smallest unsigned integer type, on the grid of ``onto``.

    Raises:
        ScanError: not a DICOM SEG, damaged, or unreadable.
        GeometryError: a frame is between the voxels, or outside of ``onto``.
        LabelError: FRACTIONAL, overlapping segments, or pixels of unknown segments.
    """
    grid = None if onto is None else LabelGrid(onto.affine, onto.shape, onto.name)
    with tempfile.TemporaryDirectory(prefix="slicewise-") as folder:
        # Faster than a pipe.
        target = Path(folder) / "labels.npy"
        try:
            affine, warnings = (sandbox or shared_sandbox()).call(
                decode_segmentation,
                path,
                grid,
                names,
                target,
                where=path,
                timeout_seconds=SECONDS_PER_FILE,
            )
            labels = np.load(target)
        except OSError as error:
            raise _unreadable(path, error) from error
    return Volume(labels, affine, path.stem, warnings=warnings)


def _unreadable(path: Path, error: OSError) -> ScanError:
    return ScanError(
        path,
        expected="a readable file, and space for temporary files",
        found=file_problem(error),
        remedy="correct its permissions, restore it, or free space in TMPDIR",
    )
