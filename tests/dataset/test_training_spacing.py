"""The spacing of a training, and which scans are brought to it."""

from __future__ import annotations

import numpy as np
import pytest

from slicewise.config import PreprocessingSection
from slicewise.dataset.measurements import PICTURE, Measurements
from slicewise.dataset.training_spacing import TrainingSpacing, at_training_spacing
from slicewise.imaging.volume import Volume

Spacing = tuple[float, float, float]
AXIAL = PreprocessingSection(plane="axial")
ALL = PreprocessingSection(plane="all")
THICKEST = PreprocessingSection()


def measured(spacing_mm: Spacing, kind: str = "scan") -> Measurements:
    size_mm = tuple(10 * step for step in spacing_mm)
    return Measurements(spacing_mm, size_mm, {"Kind": kind}, {}, (), (0, 0, 0), ())


def scan(spacing_mm: Spacing, orientation: str = "RAS", *, is_known: bool = True) -> Volume:
    grid = Volume(np.zeros((10, 9, 8)), np.diag([*spacing_mm, 1.0]), spacing_is_known=is_known)
    return grid.reoriented(orientation)


def test_lowest_median_and_highest_in_the_slices() -> None:
    found = TrainingSpacing.of(
        [measured((0.5, 1.0, 3.0)), measured((0.6, 1.2, 4.0)), measured((0.9, 1.1, 5.0))], AXIAL
    )
    assert found == TrainingSpacing((0.5, 1.0), (0.6, 1.1), (0.9, 1.2))


def test_scans_that_are_cut_along_other_axes() -> None:
    found = TrainingSpacing.of([measured((0.5, 1.0, 3.0)), measured((4.0, 0.5, 1.0))], THICKEST)
    assert found == TrainingSpacing((0.5, 1.0), (0.5, 1.0), (0.5, 1.0))


def test_all_axes_of_all_planes() -> None:
    found = TrainingSpacing.of([measured((0.5, 1.0, 1.2))], ALL)
    assert found is not None
    assert found.median == (0.5, 1.0, 1.2)


def test_pictures_have_none() -> None:
    assert TrainingSpacing.of([measured((1.0, 1.0, 1.0), PICTURE)], THICKEST) is None


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SAL"])
@pytest.mark.parametrize(
    ("spacing_mm", "agrees"),
    [
        ((0.8, 1.0, 5.0), True),
        ((0.77, 1.0, 5.0), True),
        ((0.76, 1.0, 5.0), False),
        ((0.94, 1.25, 5.0), True),
        ((0.94, 1.27, 5.0), False),
        # The distance of slices is of no consequence.
        ((0.8, 1.0, 1.5), True),
    ],
)
def test_up_to_five_percent_beyond_those_of_the_training(
    spacing_mm: Spacing, agrees: bool, orientation: str
) -> None:
    trained = TrainingSpacing((0.8, 1.0), (0.85, 1.1), (0.9, 1.2))
    found = at_training_spacing(AXIAL, trained, scan(spacing_mm, orientation))
    if agrees:
        assert found is AXIAL
    else:
        assert found == AXIAL.model_copy(update={"spacing_mm": (0.85, 1.1)})


def test_every_axis_counts_where_all_planes_are_cut() -> None:
    trained = TrainingSpacing((1.0,) * 3, (1.0,) * 3, (1.0,) * 3)
    assert at_training_spacing(ALL, trained, scan((1.04, 1.0, 0.96))) is ALL
    found = at_training_spacing(ALL, trained, scan((1.0, 1.0, 0.5)))
    assert found.spacing_mm == (1.0, 1.0, 1.0)


def test_nothing_is_changed_where_nothing_is_known_or_the_spacing_is_set() -> None:
    trained = TrainingSpacing((1.0, 1.0), (1.0, 1.0), (1.0, 1.0))
    half = (0.5, 0.5, 3.0)
    assert at_training_spacing(AXIAL, None, scan(half)) is AXIAL
    assert at_training_spacing(AXIAL, trained, scan(half, is_known=False)) is AXIAL
    given = AXIAL.model_copy(update={"spacing_mm": (2.0, 2.0)})
    assert at_training_spacing(given, trained, scan(half)) is given
