"""Label maps and scans are told apart by their voxels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from slicewise.dataset.label_likeness import looks_like_labels
from slicewise.imaging.scan import read_scan, volumes_in
from slicewise.imaging.volume import Volume

SHAPE = (24, 20, 16)


def a_label(values: int = 3) -> NDArray[np.uint8]:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for value in range(values):
        labels[2 + value * 2 : 8 + value * 2, 4:16, 3:12] = value + 1
    return labels


def noise(high: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, high, SHAPE)


def looks(voxels: NDArray[Any]) -> bool:
    return looks_like_labels(Volume(voxels, np.eye(4)))


@pytest.mark.parametrize(
    "voxels",
    [
        a_label(1),
        a_label(8),
        a_label(3).astype(np.float32),
        a_label(1) * 255,
        # Structures everywhere, without any background.
        np.repeat(np.arange(1, 7), 4 * 20 * 16).reshape(SHAPE),
    ],
)
def test_regions_of_whole_numbers(voxels: NDArray[Any]) -> None:
    assert looks(voxels)


def test_a_single_labelled_voxel() -> None:
    voxels = np.zeros((80, 80, 80), dtype=np.uint8)
    voxels[41, 3, 7] = 1
    assert looks(voxels)


@pytest.mark.parametrize(
    "voxels",
    [
        noise(4000),
        # Few grey values, as after a coarse rescaling.
        noise(8),
        np.where(a_label(1) > 0, noise(50) + 100, 0),
        np.where(a_label(1) > 0, 0.5, 0.0),
        np.zeros(SHAPE),
        np.full(SHAPE, np.nan),
        -a_label(3).astype(np.int16),
    ],
)
def test_scans(voxels: NDArray[Any]) -> None:
    assert not looks(voxels)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.fault(135, "E")
def test_real_scans_and_label_maps_are_told_apart(test_data: Path) -> None:
    scans: list[Path] = []
    labels: list[Path] = []
    for folder in ("Task04_Hippocampus", "brain_t1", "spine_myo", "left_atrium"):
        scans += sorted((test_data / folder / "imagesTr").glob("*.nii.gz"))[::4]
        labels += sorted((test_data / folder / "labelsTr").glob("*.nii.gz"))[::4]
    scans += sorted((test_data / "chest_xray" / "images").glob("*.png"))
    labels += sorted((test_data / "chest_xray" / "masks").glob("*.png"))
    for path in sorted((test_data / "open_ms").rglob("*.nii.gz")):
        (labels if path.name.startswith("GOLD") else scans).append(path)
    assert not [path.name for path in scans if looks_like_labels(read_scan(path))]
    assert not [path.name for path in labels if not looks_like_labels(read_scan(path))]
    moving = next((test_data / "dcm_qa_nih" / "Ref").glob("*.nii"))
    assert not looks_like_labels(read_scan(volumes_in(moving)[0]))
