"""Makes NIfTI files whose geometry has no symmetry that could hide a mistake."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.volume import Volume


@dataclass(frozen=True)
class NiftiPhantom:
    """An oblique scan of 7 x 6 x 9 voxels, with another spacing on each axis."""

    shape: tuple[int, int, int] = (7, 6, 9)
    spacing_mm: tuple[float, float, float] = (0.75, 1.25, 3.5)

    @property
    def affine(self) -> NDArray[np.float64]:
        affine = np.eye(4)
        affine[:3, :3] = Rotation.from_euler("zyx", [160, -20, 35], degrees=True).as_matrix()
        affine[:3, :3] *= self.spacing_mm
        affine[:3, 3] = [-41.5, 17.25, 8]
        return affine

    def voxels(self, kind: Any = np.int16) -> NDArray[Any]:
        """Every voxel has its own value."""
        return np.arange(np.prod(self.shape)).reshape(self.shape).astype(kind)

    def image(self, values: NDArray[Any] | None = None, kind: Any = nib.Nifti1Image) -> Any:
        image = kind(self.voxels() if values is None else values, self.affine)
        image.set_sform(self.affine, code=2)
        image.set_qform(self.affine, code=1)
        image.header.set_xyzt_units("mm", "sec")
        return image

    def saved(self, image: Any, folder: Path, name: str = "scan.nii.gz") -> Path:
        image.to_filename(folder / name)
        return folder / name

    def patched(self, path: Path, **fields: Any) -> Path:
        """Write header fields as they are, right or wrong, into an uncompressed file."""
        content = path.read_bytes()
        header = nib.Nifti1Header(content[:348], check=False)
        for name, value in fields.items():
            header[name] = value
        path.write_bytes(header.binaryblock + content[348:])
        return path

    def with_sform(self, path: Path, sform: NDArray[np.float64], **fields: Any) -> Path:
        """Write a sform, whatever the qform says."""
        rows = dict(zip(("srow_x", "srow_y", "srow_z"), sform[:3], strict=True))
        return self.patched(path, **rows, **fields)

    def forms_in(self, path: Path) -> tuple[bytes, ...]:
        """Both forms, pixdim and units of an uncompressed NIfTI-1 file, as they lie there."""
        content = path.read_bytes()
        return content[252:328], content[76:108], content[123:124]

    def source(self, folder: Path, kind: Any = nib.Nifti1Image) -> Volume:
        """A scan as it was read, with text in every place of its header that holds text."""
        image = self.image(kind=kind)
        image.header["descrip"] = b"TOKEN one"
        image.header["aux_file"] = b"TOKEN two"
        image.header["intent_name"] = b"TOKEN three"
        if kind is nib.Nifti1Image:
            image.header["db_name"] = b"TOKEN four"
            image.header["data_type"] = b"TOKEN five"
        else:
            image.header["unused_str"] = b"TOKEN six"
        image.header["cal_max"] = 4711
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"TOKEN seven" * 99))
        return read_nifti(self.saved(image, folder, "source.nii.gz"))

    def mask(self, source: Volume, top: int = 3) -> Volume:
        labels = np.zeros(source.shape, np.int64)
        labels[1:3, 2:5, 4:5] = top
        return source.with_voxels(labels)


# For the whole session, so that property tests may use it: it has no state.
@pytest.fixture(scope="session")
def scans() -> NiftiPhantom:
    return NiftiPhantom()


@pytest.fixture
def plain(scans: NiftiPhantom, tmp_path: Path) -> Path:
    return scans.saved(scans.image(), tmp_path, "scan.nii")


@pytest.fixture
def packed(scans: NiftiPhantom, tmp_path: Path) -> Path:
    return scans.saved(scans.image(), tmp_path, "scan.nii.gz")
