"""A DICOM SEG in, a label map for training out, on the grid of the image that it was drawn on."""

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

    Values are those that ``write_segmentation`` was given; in files of other programs, those of
    the configured names that the segments bear, or else the numbers of the segments. Frames that
    the file leaves out are background.

    Args:
        path: of the file.
        onto: the image that the segments were drawn on, axes in any order and direction; every
            frame must lie on its voxels within 0.01 voxel. None takes the smallest grid that
            holds all frames, (column, row, slice).
        sandbox: where the file is parsed; by default the one of this process.
        names: structure name to value, as configured.

    Returns:
        Labels in the smallest unsigned type, on the grid of ``onto``.

    Raises:
        ScanError: no DICOM SEG, damaged, or unreadable.
        GeometryError: a frame lies beside the voxels or outside of ``onto``.
        LabelError: FRACTIONAL, overlapping segments, or pixels of no segment.
    """
    grid = None if onto is None else LabelGrid(onto.affine, onto.shape, onto.name)
    with tempfile.TemporaryDirectory(prefix="slicewise-") as folder:
        # A file costs less than a pipe.
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
        expected="a file that can be read, and room for temporary ones",
        found=file_problem(error),
        remedy="correct its permissions, restore it, or free space in TMPDIR",
    )
