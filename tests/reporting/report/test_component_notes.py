"""False-positive components are counted and measured."""

from __future__ import annotations

import numpy as np

from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume
from slicewise.reporting.report.text import component_notes

CORE, RIM = Structure("core", 1, "#ff0000"), Structure("rim_zone", 2, "#00ff00")
AFFINE = np.diag([10.0, 5.0, 2.0, 1.0])  # 0.1 ml a voxel


def notes(predicted: np.ndarray, reference: np.ndarray) -> list[str]:  # type: ignore[type-arg]
    return list(component_notes(Volume(predicted, AFFINE), Volume(reference, AFFINE), (CORE, RIM)))


def test_false_positive_components() -> None:
    reference, predicted = np.zeros((2, 12, 9, 7), np.uint8)
    reference[1:4, 1:4, 1:4] = 1
    reference[9, 7, 5] = 2
    predicted[3:6, 3:5, 3:4] = 1  # touches in one voxel
    predicted[6, 5, 4] = 1  # shares a corner with that
    predicted[10, 1, 1:3] = 1
    predicted[9, 7, 5] = 2
    assert notes(predicted, reference) == ["core: 1 false-positive component, 0.2 ml"]
    predicted[1, 7, 6] = 2
    predicted[5, 7, 1] = 2
    assert notes(predicted, reference)[1] == "rim zone: 2 false-positive components, 0.2 ml"


def test_structures_without_reference_are_left_to_the_failures() -> None:
    reference, predicted = np.zeros((2, 5, 4, 3), np.uint8)
    predicted[1, 1, 1] = 1
    assert notes(predicted, reference) == []
    assert notes(reference, predicted) == []
