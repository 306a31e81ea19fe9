"""Pieces that touch nothing of the reference are counted and measured."""

from __future__ import annotations

import numpy as np

from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume
from slicewise.reporting.report.stray import stray_notes

CORE, RIM = Structure("core", 1, "#ff0000"), Structure("rim_zone", 2, "#00ff00")
AFFINE = np.diag([10.0, 5.0, 2.0, 1.0])  # 0.1 ml a voxel


def notes(predicted: np.ndarray, reference: np.ndarray) -> list[str]:  # type: ignore[type-arg]
    return list(stray_notes(Volume(predicted, AFFINE), Volume(reference, AFFINE), (CORE, RIM)))


def test_stray_pieces() -> None:
    reference, predicted = np.zeros((2, 12, 9, 7), np.uint8)
    reference[1:4, 1:4, 1:4] = 1
    reference[9, 7, 5] = 2
    predicted[3:6, 3:5, 3:4] = 1  # touches in one voxel
    predicted[6, 5, 4] = 1  # shares a corner with that
    predicted[10, 1, 1:3] = 1
    predicted[9, 7, 5] = 2
    assert notes(predicted, reference) == [
        "core: 1 piece (0.2 ml) touches nothing of the reference"
    ]
    predicted[1, 7, 6] = 2
    predicted[5, 7, 1] = 2
    assert notes(predicted, reference)[1] == (
        "rim zone: 2 pieces (0.2 ml) touch nothing of the reference"
    )


def test_what_is_not_in_the_reference_at_all_is_told_elsewhere() -> None:
    reference, predicted = np.zeros((2, 5, 4, 3), np.uint8)
    predicted[1, 1, 1] = 1
    assert notes(predicted, reference) == []
    assert notes(reference, predicted) == []
