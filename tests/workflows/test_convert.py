"""Conversion to NIfTI, from Python."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from slicewise.errors import UsageError
from slicewise.workflows.convert import ConvertOptions, convert


def test_volumes_of_one_file(tmp_path: Path) -> None:
    phases = np.arange(2 * 3 * 4 * 2, dtype=np.int16).reshape(2, 3, 4, 2)
    cine = tmp_path / "cine.nii"
    nib.save(nib.Nifti1Image(phases, np.diag([1.0, 2.0, 3.0, 1.0])), cine)
    options = ConvertOptions(cine, tmp_path / "out", work=tmp_path / "work")
    table = convert(options).table
    assert list(table.index) == ["cine_v001", "cine_v002"]
    assert list(table.volumes_together) == [2, 2]
    assert table.loc["cine_v002", "spacing_mm"] == (1, 2, 3)
    written = nib.load(table.loc["cine_v002", "path"])
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), phases[..., 1])
    with pytest.raises(UsageError, match="`overwrite`"):
        convert(options)
