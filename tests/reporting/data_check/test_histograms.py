"""The bars of a histogram, counted by hand."""

from __future__ import annotations

import pytest

from slicewise.dataset.cohort_measure import CohortMeasure
from slicewise.reporting.data_check.histograms import BINS, histogram


def a_measure(*values: float) -> CohortMeasure:
    named = {f"c{number}": value for number, value in enumerate(values)}
    return CohortMeasure("spacing I-S", "mm", named, least_deviation=0.02)


def test_bars_count_cases() -> None:
    # Bins of 1 mm from 1 to 17 mm; the last one holds its upper end.
    chart = histogram(a_measure(1, 1.5, 1.9, 2, 17))
    assert chart is not None
    assert chart.title == "spacing I-S, mm"
    assert [(bar.left * BINS, bar.count) for bar in chart.bars] == [(0, 3), (1, 1), (15, 1)]
    assert [bar.height for bar in chart.bars] == pytest.approx([1, 1 / 3, 1 / 3])
    assert [bar.span for bar in chart.bars][:2] == ["1 mm to 2 mm", "2 mm to 3 mm"]
    assert (chart.lowest, chart.median, chart.highest) == ("1", "1.9", "17")
    assert not chart.is_logarithmic


def test_bars_with_outliers_are_marked() -> None:
    chart = histogram(a_measure(1, 1, 1, 1, 1, 1, 3))
    assert chart is not None
    assert [bar.is_far for bar in chart.bars] == [False, True]


def test_wide_ranges_are_logarithmic() -> None:
    # Sixteen bins from 1 to 65536: each a factor of two.
    chart = histogram(a_measure(1, 1.5, 5, 300, 65536))
    assert chart is not None
    assert chart.is_logarithmic
    assert [(bar.left * BINS, bar.count) for bar in chart.bars] == [
        (0, 2), (2, 1), (8, 1), (15, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("values", [(), (1, 2, 3, 4), (2, 2, 2, 2, 2, 2)])
def test_where_there_is_nothing_to_see(values: tuple[float, ...]) -> None:
    assert histogram(a_measure(*values)) is None
