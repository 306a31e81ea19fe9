"""Labels on some slices only, and structures that occupy few."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from slicewise.dataset.sparse_labels import SparseLabels, sparse_labels
from slicewise.imaging.scan import read_scan
from slicewise.imaging.volume import Volume

SHAPE = (30, 26, 41)


def whole() -> NDArray[np.uint8]:
    """Two structures that taper along I-S."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for number in range(6, 36):
        size = 3 + min(number - 6, 35 - number) // 3
        labels[5 : 5 + size, 4 : 4 + size, number] = 1
        labels[17 : 17 + size, 9 : 9 + size, number] = 2
    return labels


def kept(*slices: int) -> NDArray[np.uint8]:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[:, :, list(slices)] = whole()[:, :, list(slices)]
    return labels


def found(labels: NDArray[Any], codes: str = "RAS") -> SparseLabels | None:
    return sparse_labels(Volume(labels, np.eye(4)).reoriented(codes))


@pytest.mark.fault(136, "W")
@pytest.mark.parametrize("codes", ["RAS", "LSP"])
def test_every_fifth_slice(codes: str) -> None:
    sparse = found(kept(*range(8, 36, 5)), codes)
    assert sparse == SparseLabels(6, 41, "I-S", "every 5th slice")
    assert sparse.text == (
        "labelled on 6 of 41 slices along I-S, every 5th slice; unlabelled slices count as "
        "background"
    )


@pytest.mark.parametrize(
    ("slices", "pattern"),
    [
        (range(6, 36, 2), "every 2nd slice"),
        ((8, 12, 13, 21, 30), "3 to 8 slices apart"),
        ((8, 9, 13, 14, 18, 19, 23, 24), "with 3 slices left out in between"),
        ((20,), "a single slice"),
    ],
)
def test_patterns(slices: Any, pattern: str) -> None:
    sparse = found(kept(*slices))
    assert sparse is not None
    assert sparse.pattern == pattern


def test_one_of_two_structures() -> None:
    labels = whole()
    labels[labels == 2] = 0
    labels[:, :, ::4][whole()[:, :, ::4] == 2] = 2
    assert found(labels) == SparseLabels(7, 41, "I-S", "every 4th slice")


def scattered() -> NDArray[np.uint8]:
    """Lesions at other places in other slices."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for number in range(8):
        labels[3 * number : 3 * number + 2, 2 * number : 2 * number + 2, 5 * number] = 1
    return labels


def forgotten() -> NDArray[np.uint8]:
    labels = whole()
    labels[:, :, 14] = 0
    return labels


@pytest.mark.parametrize(
    "labels",
    [
        whole(),
        kept(20, 21, 22),
        scattered(),
        forgotten(),
        np.zeros(SHAPE, dtype=np.uint8),
        whole()[:, :, 20:21],
    ],
)
def test_structures_that_occupy_few_slices(labels: NDArray[np.uint8]) -> None:
    assert found(labels) is None


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.fault(136, "W")
def test_real_label_maps(test_data: Path) -> None:
    paths = []
    for folder in ("Task04_Hippocampus", "spine_myo", "left_atrium", "brain_t1"):
        paths += sorted((test_data / folder / "labelsTr").glob("*.nii.gz"))[::3]
    # Lesions are small: whether they are interrupted cannot be told.
    lesions = sorted((test_data / "open_ms").rglob("GOLD_STANDARD.nii.gz"))
    assert not [path for path in lesions if sparse_labels(read_scan(path)) is not None]
    labels = [read_scan(path) for path in paths]
    assert not [label.name for label in labels if sparse_labels(label) is not None]
    for label in labels[:10]:
        thinned = np.zeros_like(label.voxels)
        keep = [slice(None)] * 3
        keep[label.thickest_axis] = slice(None, None, 5)
        thinned[tuple(keep)] = label.voxels[tuple(keep)]
        if len(np.unique(np.nonzero(thinned)[label.thickest_axis])) < 3:
            continue
        sparse = sparse_labels(label.with_voxels(thinned))
        assert sparse is not None
        assert sparse.pattern == "every 5th slice"
