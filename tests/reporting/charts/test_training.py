"""Curves hold what the training wrote down; folds differ by their line."""

from __future__ import annotations

import numpy as np

from slicewise.reporting.charts.training import loss_figure, validation_figure

COLOURS = {"core": "#E69F00"}
ROWS = ({"step": 5, "mean": 0.5, "core": 0.25}, {"step": 10, "mean": 0.75, "core": 0.5})


def test_losses_of_folds_lie_over_another() -> None:
    figure = loss_figure({"fold 0": [(1, 2.0), (4, 1.0)], "fold 1": [(2, 3.0)]})
    first, second = figure.axes[0].lines
    assert np.array_equal(first.get_xydata(), [[1, 2.0], [4, 1.0]])
    assert first.get_linestyle() != second.get_linestyle()
    assert "fold 0: 2 at first, 1 at step 4; fold 1: 3 at first" in str(figure.get_label())


def test_validation_has_a_line_a_structure_and_one_of_the_mean() -> None:
    figure = validation_figure({"this run": ROWS}, COLOURS)
    core, mean = figure.axes[0].lines
    assert np.array_equal(core.get_ydata(), [0.25, 0.5])
    assert np.array_equal(mean.get_ydata(), [0.5, 0.75])
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["core", "mean"]


def test_folds_are_named_once() -> None:
    figure = validation_figure({"fold 0": ROWS, "fold 1": ROWS}, COLOURS)
    assert len(figure.axes[0].lines) == 4
    assert len(figure.axes[0].get_legend().get_texts()) == 2
