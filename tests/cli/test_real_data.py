"""Real scans: a short training on Task04 segments a DICOM crop of another study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.scan import read_scan

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hippocampus_model(
    slicewise: Callable[..., Any], test_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A fold of the hippocampus configuration, stopped long before it is at its best."""
    out = tmp_path_factory.mktemp("hippocampus")
    done = slicewise(
        "train", ROOT / "configs/hippocampus.yaml",
        "--set", f"data.root={test_data / 'Task04_Hippocampus'}",
        "--set", "training.steps=200", "--set", "training.validations=1",
        "--set", "training.ema_decay=0.98",
        "--out", out / "model", "--work", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out / "model"


@pytest.mark.slow
@pytest.mark.data
def test_short_training_finds_both_parts(hippocampus_model: Path) -> None:
    import pandas as pd

    scores = pd.read_csv(hippocampus_model / "scores.csv")
    assert (scores.groupby("structure").dice.mean() > 0.75).all()


@pytest.mark.slow
@pytest.mark.data
def test_dicom_crop_gets_a_plausible_hippocampus(
    slicewise: Callable[..., Any], hippocampus_model: Path, test_data: Path, tmp_path: Path
) -> None:
    source = test_data / "dicom/Study1/13_HCropVolume"
    out = tmp_path / "mask.nii.gz"
    done = slicewise("predict", hippocampus_model, source, "--out", out, "--work", tmp_path)
    assert done.returncode == 0, done.stderr
    mask, scan = read_nifti(out), read_scan(source)
    assert mask.grid_difference_voxels(scan) < 1e-3
    anterior, posterior = mask.voxels == 1, mask.voxels == 2
    assert anterior.any()
    assert posterior.any()
    assert 1.5 < (mask.voxels > 0).sum() * mask.voxel_volume_ml < 6
    components, count = ndimage.label(mask.voxels > 0)
    sizes = np.bincount(components.ravel())[1:]
    assert count == 1 or sizes.max() > 0.9 * sizes.sum()
    # RAS: the second world coordinate grows towards the face.
    front, back = (
        mask.world_position_mm(np.argwhere(part)).mean(0)[1] for part in (anterior, posterior)
    )
    assert front > back
