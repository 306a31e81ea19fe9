"""Where the masks of scans go: to a folder, or to one named file."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicewise.errors import UsageError
from slicewise.imaging.dicom.seg.identity import Identity, IdentityMode
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.masks import MaskFormat, MaskOutput


@pytest.fixture
def output() -> MaskOutput:
    algorithm = Algorithm("a model", "1")
    return MaskOutput(MaskFormat.NIFTI, (), algorithm, Identity(IdentityMode.SOURCE))


@pytest.mark.parametrize("name", ["x.xyz", "mask.jpg", "mask.nrrd", "scores.csv", "m.NII.bz2"])
def test_a_name_of_no_mask_is_no_new_folder(name: str, output: MaskOutput, tmp_path: Path) -> None:
    scan, out = {"case0": Path("case0.nii.gz")}, tmp_path / name
    with pytest.raises(UsageError, match=r"\.nii\.gz or \.nii") as caught:
        output.targets(scan, out)
    assert "a folder without a suffix" in caught.value.remedy
    out.mkdir()
    assert output.targets(scan, out) == {"case0": out / "case0.nii.gz"}


@pytest.mark.parametrize("name", ["masks", "masks.2", "v1.10", ".masks", "2026.11.30", "mask "])
def test_a_new_folder(name: str, output: MaskOutput, tmp_path: Path) -> None:
    scan, out = {"case0": Path("case0.nii.gz")}, tmp_path / name
    assert output.targets(scan, out) == {"case0": out / "case0.nii.gz"}


def test_one_named_file(output: MaskOutput, tmp_path: Path) -> None:
    out = tmp_path / "mask.nii"
    assert output.targets({"case0": Path("case0.nii.gz")}, out) == {"case0": out}
