"""The chart of a comparison shows each case, and says in words what it shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from slicewise.evaluation.comparison import RunComparison
from slicewise.reporting.charts.differences import differences_figure
from slicewise.reporting.charts.style import BETTER, WORSE

Comparisons = Callable[..., RunComparison]


def bars(figure: Figure) -> list[tuple[float, str]]:
    return [
        (bar.get_height(), to_hex(bar.get_facecolor()).upper()) for bar in figure.axes[0].patches
        if bar.get_width() == pytest.approx(0.85)
    ]  # fmt: skip


def test_a_bar_a_case_sorted(comparison_of: Comparisons) -> None:
    heights = [height for height, _ in bars(differences_figure(comparison_of("core")))]
    assert heights == [0.3, 0.1, 0.0, -0.05]


@pytest.mark.parametrize(
    ("metric", "rising", "falling"),
    [("dice", BETTER, WORSE), ("hd95_mm", WORSE, BETTER)],
)
def test_colours_tell_what_is_better(
    comparison_of: Comparisons, metric: str, rising: str, falling: str
) -> None:
    drawn = bars(differences_figure(comparison_of("core", metric=metric)))
    assert drawn[0][1] == rising.upper()
    assert drawn[-1][1] == falling.upper()


@pytest.mark.parametrize(("count", "columns", "panels"), [(1, 1, 1), (3, 1, 3), (3, 2, 4)])
def test_a_panel_a_structure(
    comparison_of: Comparisons, count: int, columns: int, panels: int
) -> None:
    figure = differences_figure(comparison_of(*"abc"[:count]), columns)
    assert len(figure.axes) == panels
    assert sum(axes.axison for axes in figure.axes) == count


def test_words_say_what_is_drawn(comparison_of: Comparisons) -> None:
    words = str(differences_figure(comparison_of("rim_zone")).get_label())
    assert words.startswith("Dice case by case, new minus old.")
    assert "rim zone: +0.0875 (+0.0100 to +0.2000), of 4 cases 2 better, 1 worse" in words


def test_no_case_in_common_is_drawn_empty(comparison_of: Comparisons) -> None:
    figure = differences_figure(comparison_of("core", differences={}))
    assert bars(figure) == []
    assert "of 0 cases" in str(figure.get_label())
