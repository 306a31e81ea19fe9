"""Labels out: whole numbers in the smallest type that holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from slicewise.errors import LabelError
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.nifti.writing import (
    smallest_integers,
    write_mask,
)
from slicewise.imaging.volume import Volume


class TestLabels:
    @pytest.mark.fault(46, "OK")
    @pytest.mark.parametrize(
        ("low", "high", "kind"),
        [
            (0, 0, np.uint8),
            (0, 255, np.uint8),
            (0, 256, np.uint16),
            (0, 70_000, np.uint32),
            (0, 2**40, np.uint64),
            (-1, 127, np.int8),
            (-1, 128, np.int16),
            (-129, 3, np.int16),
            (-1, 70_000, np.int32),
            (-(2**40), 3, np.int64),
        ],
    )
    def test_smallest_integer_type(
        self, scans: Any, tmp_path: Path, low: int, high: int, kind: Any
    ) -> None:
        source = scans.source(tmp_path)
        mask = scans.mask(source, high)
        mask.voxels[5, 5, 5] = low
        write_mask(mask, source, tmp_path / "mask.nii.gz")
        written = nib.load(tmp_path / "mask.nii.gz")
        assert written.get_data_dtype() == kind
        np.testing.assert_array_equal(np.asanyarray(written.dataobj), mask.voxels)

    def test_a_truth_value_is_a_label(self, scans: Any, tmp_path: Path) -> None:
        source = scans.source(tmp_path)
        truth = scans.voxels() > 100
        write_mask(source.with_voxels(truth), source, tmp_path / "mask.nii.gz")
        written = read_nifti(tmp_path / "mask.nii.gz").voxels
        assert written.dtype == np.uint8
        np.testing.assert_array_equal(written, truth)

    def test_whole_numbers_in_floating_point(self, scans: Any) -> None:
        labels = scans.voxels(np.float64) % 4 + 1e-4
        written = smallest_integers(Volume(labels, np.eye(4)))
        assert written.dtype == np.uint8
        np.testing.assert_array_equal(written, scans.voxels() % 4)

    @pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
    def test_fractions_are_no_labels(self, scans: Any, tmp_path: Path, value: float) -> None:
        source = scans.source(tmp_path)
        labels = scans.voxels(np.float32)
        labels[1, 2, 3] = value
        with pytest.raises(LabelError):
            write_mask(source.with_voxels(labels), source, tmp_path / "mask.nii.gz")
        assert not (tmp_path / "mask.nii.gz").exists()
