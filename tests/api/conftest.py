"""A folder in which the examples of the public functions can run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slicewise.imaging.nifti.writing import write_mask, write_volume
from slicewise.imaging.volume import Volume


def write_case(folder: Path, name: str, seed: int) -> None:
    """A scan with a bright block off its centre, and its label of value 3."""
    random = np.random.default_rng(seed)
    label = np.zeros((22, 19, 5), dtype=np.uint8)
    label[6:14, 4:10, 1:4] = 3
    voxels = (random.normal(100, 5, label.shape) + 200 * (label > 0)).astype(np.float32)
    scan = Volume(voxels, np.array([[-1.5, 0, 0, 20], [0, -1.2, 0, 7], [0, 0, 4, 3], [0, 0, 0, 1]]))
    write_volume(scan, folder / "images" / f"{name}.nii.gz")
    write_mask(scan.with_voxels(label), scan, folder / "labels" / f"{name}.nii.gz")


@pytest.fixture(scope="module")
def example_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six labelled scans in ``my_scans``."""
    folder = tmp_path_factory.mktemp("examples")
    for number in range(6):
        write_case(folder / "my_scans", f"case{number}", number)
    return folder
