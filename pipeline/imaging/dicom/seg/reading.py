"""A DICOM SEG in, a label map for training out, on the grid of the image that it was drawn on."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from pipeline.errors import ScanError, file_problem
from pipeline.imaging.dicom.seg.decoding import (
    LabelGrid,
    SegmentationFacts,
    decode_segmentation,
    scan_segmentation,
)
from pipeline.imaging.sandbox import Sandbox, shared_sandbox
from pipeline.imaging.volume import Volume

SECONDS_PER_FILE = 300.0
SECONDS_PER_HEADER = 30.0


def read_segmentation(
    path: Path, onto: Volume | None = None, sandbox: Sandbox | None = None
) -> Volume:
    """Read a DICOM SEG, BINARY or LABELMAP, as a label map.

    Values are those that ``write_segmentation`` was given; in files of other programs, the numbers
    of the segments. Frames that the file leaves out are background.

    Args:
        path: of the file.
        onto: the image that the segments were drawn on, axes in any order and direction; every
            frame must lie on its voxels within 0.01 voxel. None takes the smallest grid that
            holds all frames, (column, row, slice).
        sandbox: where the file is parsed; by default the one of this process.

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
            affine = (sandbox or shared_sandbox()).call(
                decode_segmentation,
                path,
                grid,
                target,
                where=path,
                timeout_seconds=SECONDS_PER_FILE,
            )
            labels = np.load(target)
        except OSError as error:
            raise _unreadable(path, error) from error
    return Volume(labels, affine, path.stem)


def segmentation_facts(path: Path, sandbox: Sandbox | None = None) -> SegmentationFacts | None:
    """What a file's header tells if it is a DICOM SEG; None for anything else.

    Args:
        path: of any file.
        sandbox: where the header is parsed; by default the one of this process.

    Raises:
        ScanError: the file cannot be read, or is damaged DICOM.
    """
    try:
        return (sandbox or shared_sandbox()).call(
            scan_segmentation, path, where=path, timeout_seconds=SECONDS_PER_HEADER
        )
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> ScanError:
    return ScanError(
        path,
        expected="a file that can be read, and room for temporary ones",
        found=file_problem(error),
        remedy="correct its permissions, restore it, or free space in TMPDIR",
    )
