"""Frames of one file that lie at one position."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLosslessSV1, RLELossless

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]

TWICE = [0, 1, 2, 3, 4] * 2


@pytest.mark.fault(12, "S")
def test_repetitions_that_no_tag_tells_apart(
    enhanced: Call, write_dicom: Write, read_all: Call
) -> None:
    pixels = np.arange(770, dtype=np.int16)
    volumes = read_all(write_dicom([enhanced(TWICE, PixelData=pixels.tobytes())]))
    assert [int(volume.voxels[0, 0, 0]) for volume in volumes] == [0, 385]
    assert "2 volumes are distinguished by instance number only" in volumes[0].warnings


@pytest.mark.fault(6, "Q")
def test_one_position_twice(enhanced: Call, write_dicom: Write, refused: Call) -> None:
    pixels = np.arange(6 * 77, dtype=np.int16).tobytes()
    whole = enhanced([0, 1, 2, 3, 4, 4], PixelData=pixels)
    assert "2 different images at one position" in refused(write_dicom([whole])).found


@pytest.mark.fault(5, "W")
@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        RLELossless,
        JPEGLosslessSV1,
    ],
    ids=lambda syntax: syntax.keyword,
)
def test_copy_of_a_frame_is_dropped(
    syntax: UID, phantom: Any, enhanced: Call, stored_as: Call, write_dicom: Write, read: Call
) -> None:
    volume = read(write_dicom([stored_as(enhanced([0, 1, 2, 3, 3, 4]), syntax)]))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    assert volume.warnings == ("1 duplicate slices with equal pixels were excluded",)
