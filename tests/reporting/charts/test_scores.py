"""Charts hold every case, and the figures of the summary."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from slicewise.evaluation.scores import Score
from slicewise.evaluation.statistics import METRICS, summarize
from slicewise.metrics.calibration import Reliability
from slicewise.reporting.charts import scores as score_charts
from slicewise.reporting.charts.scores import (
    agreement_figure,
    distribution_figure,
    predicted_volumes_figure,
    reliability_figure,
    volumes_figure,
)

COLOURS = {"core": "#E69F00", "rim": "#56B4E9"}


@pytest.fixture
def scores(a_score: Callable[..., Score]) -> list[Score]:
    rows = [
        a_score(f"c{n}", "core", dice=0.6 + 0.05 * n, predicted_ml=n + 1.5, reference_ml=n + 1.0)
        for n in range(6)
    ]
    rows.append(a_score("c9", "core", dice=math.nan, state="both empty", predicted_ml=0.0,
                        reference_ml=0.0))  # fmt: skip
    return rows


def points(axes: Axes) -> list[tuple[float, float]]:
    """Places of all circles."""
    return [
        (float(x), float(y))
        for line in axes.lines
        if line.get_marker() == "o"
        for x, y in zip(np.atleast_1d(line.get_xdata()), np.atleast_1d(line.get_ydata()),
                        strict=True)
    ]  # fmt: skip


def test_every_defined_case_is_a_point(scores: Sequence[Score]) -> None:
    figure = distribution_figure(scores, summarize(scores), METRICS["dice"], COLOURS)
    found = points(figure.axes[0])
    assert sorted(x for x, _ in found) == pytest.approx([0.6, 0.65, 0.7, 0.75, 0.8, 0.85])
    assert all(-0.3 < y < 0.3 for _, y in found)
    assert "median 0.7250, quartiles 0.6625 to 0.7875" in str(figure.get_label())


def test_a_structure_without_figures_keeps_its_row(a_score: Callable[..., Score]) -> None:
    rows = [a_score("a", "core"), a_score("a", "rim", hd95_mm=math.nan, state="false negative")]
    figure = distribution_figure(rows, summarize(rows), METRICS["hd95_mm"], COLOURS)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["core", "rim"]
    assert len(points(figure.axes[0])) == 1
    assert "rim: never defined" in str(figure.get_label())


def test_many_points_become_a_picture(
    scores: Sequence[Score], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rasterized() -> list[bool]:
        figure = distribution_figure(scores, summarize(scores), METRICS["dice"], COLOURS)
        return [
            bool(line.get_rasterized()) for line in figure.axes[0].lines if line.get_marker() == "o"
        ]

    assert rasterized() == [False]
    monkeypatch.setattr(score_charts, "_MAX_POINTS", 3)
    assert rasterized() == [True]


def test_volumes_lie_against_each_other(scores: Sequence[Score]) -> None:
    (summary,) = summarize(scores)
    figure = volumes_figure(scores, summary, "#E69F00")
    # Both empty has no volume to compare.
    assert points(figure.axes[0]) == [(n + 1.0, n + 1.5) for n in range(6)]
    assert "in 6 cases, correlation 1.000" in str(figure.get_label())


def test_bland_altman(scores: Sequence[Score]) -> None:
    (summary,) = summarize(scores)
    axes = agreement_figure(scores, summary, "#E69F00").axes[0]
    assert points(axes) == [(n + 1.25, 0.5) for n in range(6)]
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["bias: +0.5", "\N{MINUS SIGN}1.96 SD: +0.5", "+1.96 SD: +0.5"]


def test_one_case_has_a_bias_and_no_limits(a_score: Callable[..., Score]) -> None:
    (summary,) = summarize([a_score(predicted_ml=3.0, reference_ml=4.0)])
    figure = agreement_figure([a_score(predicted_ml=3.0, reference_ml=4.0)], summary, "#E69F00")
    assert [text.get_text() for text in figure.axes[0].texts] == ["bias: \N{MINUS SIGN}1"]


def test_reliability_leaves_empty_ranges_out() -> None:
    voxels: list[Any] = [0] * 15
    probability, positives = [0.0] * 15, [0] * 15
    voxels[3], probability[3], positives[3] = 10, 2.4, 5
    voxels[14], probability[14], positives[14] = 20, 19.0, 18
    bins = Reliability(tuple(voxels), tuple(probability), tuple(positives))
    figure = reliability_figure({"core": bins}, COLOURS)
    assert points(figure.axes[0]) == [(pytest.approx(0.24), 0.5), (pytest.approx(0.95), 0.9)]
    # (|2.4 - 5| + |19 - 18|) / 30
    assert "expected calibration error 0.120" in str(figure.get_label())


def test_predicted_volumes_need_no_reference() -> None:
    figure = predicted_volumes_figure({"core": {"a": 1.0, "b": 3.0}, "rim": {"a": 0.0}}, COLOURS)
    assert sorted(x for x, _ in points(figure.axes[0])) == [0.0, 1.0, 3.0]
    assert "core: median 2 ml; rim: median 0 ml" in str(figure.get_label())
