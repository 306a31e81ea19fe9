"""A small oblique scan in which every axis differs and no symmetry hides a flip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from slicewise.dataset.demo.dicom import write_dicom_series
from slicewise.imaging.volume import Volume


def _oblique_affine() -> NDArray[np.float64]:
    """RAS within some degrees; 0.9, 1.3 and 3.5 mm along the axes."""
    a, b, c = np.radians([8.0, -12.0, 17.0])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_x @ about_y @ about_z * [0.9, 1.3, 3.5]
    affine[:3, 3] = [-31.5, 12.25, 7.0]
    return affine


@dataclass(frozen=True)
class Scan:
    """Voxels and labels on one grid, stored in some order of axes.

    Attributes:
        voxels: (X, Y, Z) uint16.
        label: (X, Y, Z) uint8 with the values 0, 2 and 5.
        affine: voxel indices to RAS+ millimetres.
    """

    voxels: NDArray[np.uint16]
    label: NDArray[np.uint8]
    affine: NDArray[np.float64]

    def stored(self, axes: tuple[int, int, int], flipped: tuple[int, ...] = ()) -> Scan:
        """The same scan with its axes in another order, then some of them reversed."""
        voxels, label = self.voxels.transpose(axes), self.label.transpose(axes)
        affine = self.affine.copy()
        affine[:, :3] = self.affine[:, list(axes)]
        for axis in flipped:
            affine[:, 3] += affine[:, axis] * (voxels.shape[axis] - 1)
            affine[:, axis] *= -1
            voxels, label = np.flip(voxels, axis), np.flip(label, axis)
        return Scan(voxels, label, affine)

    @property
    def volume(self) -> Volume:
        """The voxels, for what takes a ``Volume``."""
        return Volume(np.ascontiguousarray(self.voxels), self.affine)


@pytest.fixture(scope="session")
def scan() -> Scan:
    """10 x 13 x 6 voxels in RAS order: dark around, then a value of its own in each voxel."""
    voxels = np.zeros((10, 13, 6), dtype=np.uint16)
    voxels[2:9, 1:11, 1:5] = 200 + np.arange(7 * 10 * 4).reshape(7, 10, 4)
    label = np.zeros(voxels.shape, dtype=np.uint8)
    label[3:6, 2:5, 1:3] = 2
    label[6:8, 7:10, 2:5] = 5
    return Scan(voxels, label, _oblique_affine())


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """``write(path, voxels, affine)``: a NIfTI file, its folder made first."""

    def written(path: Path, voxels: NDArray[Any], affine: NDArray[np.float64]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(voxels, affine, dtype=voxels.dtype), path)
        return path

    return written


@pytest.fixture
def pair(tmp_path: Path, scan: Scan, write: Callable[..., Path]) -> Callable[..., Path]:
    """``pair("a", "b")``: a data set of such cases in ``images`` and ``labels``."""

    def written(*names: str) -> Path:
        for number, name in enumerate(names):
            # The values of the 280 bright voxels move on, so that no scan is a copy of another.
            moved = 200 + (scan.voxels.astype(np.int64) - 200 + 71 * number) % 280
            voxels = np.where(scan.voxels > 0, moved, 0).astype(np.uint16)
            write(tmp_path / "set" / "images" / f"{name}.nii.gz", voxels, scan.affine)
            write(tmp_path / "set" / "labels" / f"{name}.nii.gz", scan.label, scan.affine)
        return tmp_path / "set"

    return written


@pytest.fixture(scope="session")
def write_series(scan: Scan) -> Callable[[Path, str], Path]:
    """``write_series(folder, identity)``: the scan as a DICOM series, one file a slice."""

    def written(folder: Path, identity: str) -> Path:
        # DICOM stacks slices to a right-handed system: columns to L, rows to P.
        write_dicom_series(scan.stored((0, 1, 2), (0, 1)).volume, folder, identity)
        return folder

    return written
