"""Files in microns and metres are read in millimetres, and keep their own header on the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from slicewise.errors import GeometryError
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.nifti.writing import write_mask

UNITS = [("micron", 1000.0), ("meter", 0.001)]


def in_unit(scans: Any, folder: Path, unit: str, per_mm: float, forms: str) -> Path:
    affine = np.diag([per_mm] * 3 + [1]) @ scans.affine
    image = nib.Nifti1Image(scans.voxels(), affine)
    image.set_sform(affine, code=2 if "s" in forms else 0)
    image.set_qform(affine, code=1 if "q" in forms else 0)
    image.header.set_xyzt_units(unit, "sec")
    return scans.saved(image, folder, "scan.nii")


@pytest.mark.fault(128, "W")
@pytest.mark.parametrize(("unit", "per_mm"), UNITS)
@pytest.mark.parametrize("forms", ["s", "q", "sq"])
def test_read_in_millimetres(
    scans: Any, tmp_path: Path, unit: str, per_mm: float, forms: str
) -> None:
    path = in_unit(scans, tmp_path, unit, per_mm, forms)
    volume = read_nifti(path)
    np.testing.assert_allclose(volume.affine, scans.affine, atol=1e-4)
    np.testing.assert_allclose(volume.spacing_mm, scans.spacing_mm, rtol=1e-5)
    assert any("read in millimetres" in text for text in volume.warnings)
    itk = SimpleITK.ReadImage(str(path))
    np.testing.assert_allclose(itk.GetSpacing(), volume.spacing_mm, rtol=1e-5)


@pytest.mark.fault(128, "OK")
@pytest.mark.parametrize(("unit", "per_mm"), UNITS)
def test_a_mask_keeps_unit_and_forms_of_its_scan(
    scans: Any, tmp_path: Path, unit: str, per_mm: float
) -> None:
    path = in_unit(scans, tmp_path, unit, per_mm, "sq")
    source = read_nifti(path)
    write_mask(scans.mask(source), source, tmp_path / "mask.nii")
    assert scans.forms_in(tmp_path / "mask.nii") == scans.forms_in(path)
    np.testing.assert_allclose(read_nifti(tmp_path / "mask.nii").affine, source.affine)


@pytest.mark.fault(128, "Q")
def test_millimetres_that_the_header_calls_metres(scans: Any, tmp_path: Path) -> None:
    image = scans.image()
    image.header.set_xyzt_units("meter")
    with pytest.raises(GeometryError, match="measured in metres") as caught:
        read_nifti(scans.saved(image, tmp_path))
    assert "millimetres" in caught.value.remedy


@pytest.mark.parametrize("code", [0, 2, 5, 7])
def test_any_other_unit_means_millimetres(scans: Any, plain: Path, code: int) -> None:
    volume = read_nifti(scans.patched(plain, xyzt_units=code))
    np.testing.assert_allclose(volume.affine, scans.affine, atol=1e-5)
    assert volume.warnings == ()
