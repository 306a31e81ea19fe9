"""A file is read back before it takes its place: what the disk changed is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from slicewise.errors import OutputError
from slicewise.imaging.nifti.writing import write_mask, write_probabilities, write_volume
from slicewise.imaging.volume import Volume


@pytest.fixture
def faulty_disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes every later writing change one byte."""

    def break_at(position: int, change: int = 1) -> None:
        def write(self: Path, content: bytes) -> int:
            damaged = bytearray(content)
            damaged[position] ^= change
            with self.open("wb") as file:
                return file.write(damaged)

        monkeypatch.setattr(Path, "write_bytes", write)

    return break_at


@pytest.mark.parametrize(
    ("position", "change", "what"),
    [
        (42, 1, "dim"),  # dim[1]
        (40, 7, "dim"),  # three dimensions become four
        (70, 6, "datatype"),  # uint8 becomes int16, which would be too long
        (112, 1, "scl_slope and scl_inter"),
        (116, 1, "scl_slope and scl_inter"),
        (80, 1, "pixdim"),
        (123, 1, "xyzt_units"),
        (252, 2, "qform_code"),
        (254, 1, "sform_code"),
        (256, 1, "quatern_b"),
        (268, 1, "qoffset_x"),
        (280, 1, "srow_x"),
        (327, 1, "srow_z"),
        (352, 1, "voxels"),
        (-1, 1, "voxels"),
    ],
)
def test_one_changed_byte(
    scans: Any, tmp_path: Path, faulty_disk: Any, position: int, change: int, what: str
) -> None:
    source = scans.source(tmp_path)
    path = tmp_path / "out" / "mask.nii"
    write_mask(scans.mask(source), source, path)
    before = path.read_bytes()
    faulty_disk(position, change)
    with pytest.raises(OutputError, match="read back") as caught:
        write_mask(scans.mask(source, 2), source, path)
    assert caught.value.where == f"{path}: {what}"
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("position", [0, 100, -8, -1])
def test_one_changed_byte_in_a_packed_file(
    scans: Any, tmp_path: Path, faulty_disk: Any, position: int
) -> None:
    source = scans.source(tmp_path)
    faulty_disk(position, 255)
    path = tmp_path / "out" / "mask.nii.gz"
    with pytest.raises(OutputError, match="read back") as caught:
        write_mask(scans.mask(source), source, path)
    assert caught.value.where == str(path)
    assert not list(path.parent.iterdir())


def test_a_header_that_is_none_any_more(scans: Any, tmp_path: Path, faulty_disk: Any) -> None:
    source = scans.source(tmp_path)
    faulty_disk(344)
    with pytest.raises(OutputError, match="an empty header when the file was read back"):
        write_mask(scans.mask(source), source, tmp_path / "mask.nii")
    assert not (tmp_path / "mask.nii").exists()


def test_probabilities_and_volumes_are_read_back_too(
    scans: Any, tmp_path: Path, faulty_disk: Any
) -> None:
    source = scans.source(tmp_path)
    part = source.with_voxels(scans.voxels(np.float32))
    faulty_disk(-1)
    with pytest.raises(OutputError, match="voxels"):
        write_probabilities([part, part], source, tmp_path / "p.nii")
    with pytest.raises(OutputError, match="voxels"):
        write_volume(source, tmp_path / "v.nii")


def test_forms_that_say_another_place(
    scans: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the library that fills in forms were wrong by a tenth of a millimetre.
    inner = nib.Nifti1Header.set_sform

    def shifted(header: Any, affine: Any, code: Any = None) -> None:
        inner(header, affine + np.eye(4, k=3) / 10, code)

    monkeypatch.setattr(nib.Nifti1Header, "set_sform", shifted)
    monkeypatch.setattr(nib.Nifti1Header, "set_qform", lambda *_, **__: None)
    with pytest.raises(OutputError, match="affine") as caught:
        write_volume(Volume(scans.voxels(), scans.affine), tmp_path / "v.nii")
    assert caught.value.where == f"{tmp_path / 'v.nii'}: affine"


def test_nan_is_equal_to_itself(scans: Any, tmp_path: Path) -> None:
    values = scans.voxels(np.float32)
    values[1, 2, 3] = np.nan
    write_volume(Volume(values, scans.affine), tmp_path / "v.nii")
    assert (tmp_path / "v.nii").exists()
