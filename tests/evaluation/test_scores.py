"""Rows and summaries that hide neither missed nor undefined structures."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import GeometryError, OutputError
from pipeline.evaluation.scores import (
    Score,
    mean_dice,
    read_scores,
    score_case,
    summarize,
    write_scores,
)
from pipeline.imaging.structures import structures_of
from pipeline.imaging.volume import Volume

STRUCTURES = structures_of({"head": 1, "body": 2, "tail": 4, "ghost": 7}, {})
HEAD = STRUCTURES[:1]


def a_volume(*values: int) -> Volume:
    # Voxels of 2 x 5 x 10 mm: a tenth of a millilitre.
    return Volume(np.array(values).reshape(1, 1, -1), np.diag([2, 5, 10, 1.0]), "mask")


@pytest.fixture
def scores() -> list[Score]:
    predicted = a_volume(1, 1, 0, 0, 4)
    reference = a_volume(1, 0, 0, 2, 0)
    return score_case("case", predicted, reference, STRUCTURES).scores


def test_one_row_a_structure(scores: list[Score]) -> None:
    head, body, tail, ghost = scores
    assert head.dice == pytest.approx(2 / 3)
    assert head.iou == pytest.approx(1 / 2)
    assert (head.state, body.state) == ("detected", "missed")
    assert (tail.state, ghost.state) == ("invented", "both empty")
    assert (body.dice, body.iou, tail.dice, tail.iou) == (0, 0, 0, 0)
    assert math.isnan(ghost.dice)
    assert math.isnan(ghost.iou)


def test_volumes_in_millilitres(scores: list[Score]) -> None:
    assert [row.predicted_ml for row in scores] == pytest.approx([0.2, 0, 0.1, 0])
    assert [row.reference_ml for row in scores] == pytest.approx([0.1, 0.1, 0, 0])


def test_structures_side_by_side_are_detected_without_overlap() -> None:
    (score,) = score_case("case", a_volume(1, 0), a_volume(0, 1), HEAD).scores
    assert (score.state, score.dice) == ("detected", 0)


def test_another_grid_is_refused() -> None:
    with pytest.raises(GeometryError):
        score_case("case", a_volume(1, 0), a_volume(1, 0, 0), HEAD)


def row(structure: str, dice: float, state: str) -> Score:
    return Score("case", "p1", structure, state, dice, dice / 2, 1, 1, 2, 0.5, 0.9, 1, 1)


def test_summary_counts_every_state() -> None:
    rows = [
        row("b", 0.9, "detected"),
        row("a", 0.5, "detected"),
        row("b", 0.0, "missed"),
        row("b", 0.0, "invented"),
        row("b", math.nan, "both empty"),
        row("b", 0.6, "detected"),
        row("b", math.nan, "both empty"),
    ]
    b, a = summarize(rows)
    assert (b.structure, a.structure) == ("b", "a")
    assert b.mean_dice == pytest.approx((0.9 + 0 + 0 + 0.6) / 4)
    assert b.median_dice == pytest.approx(0.3)
    assert b.mean_iou == pytest.approx((0.45 + 0.3) / 4)
    assert (b.cases, b.missed, b.invented, b.undefined) == (6, 1, 1, 2)
    assert (a.cases, a.missed, a.invented, a.undefined) == (1, 0, 0, 0)
    assert mean_dice([b, a]) == pytest.approx((0.375 + 0.5) / 2)


def test_a_structure_that_no_case_has_is_undefined_and_left_out_of_the_mean() -> None:
    ghost, head = summarize([row("ghost", math.nan, "both empty"), row("head", 0.8, "detected")])
    assert math.isnan(ghost.mean_dice)
    assert math.isnan(ghost.median_dice)
    assert math.isnan(ghost.mean_iou)
    assert ghost.undefined == 1
    assert mean_dice([ghost, head]) == pytest.approx(0.8)
    assert math.isnan(mean_dice([ghost]))
    assert math.isnan(mean_dice([]))


def test_csv(tmp_path: Path, scores: list[Score]) -> None:
    write_scores(scores, tmp_path / "deep" / "scores.csv")
    with (tmp_path / "deep" / "scores.csv").open(newline="") as stream:
        head, body, tail, ghost = csv.DictReader(stream)
    assert (head["dice"], head["iou"], head["reference_ml"]) == ("0.666667", "0.5", "0.1")
    assert (body["state"], body["dice"], body["precision"]) == ("missed", "0", "")
    assert (tail["state"], tail["sensitivity"]) == ("invented", "")
    assert (ghost["dice"], ghost["predicted_ml"], ghost["found_components"]) == ("", "0", "")


def test_rows_are_read_back(tmp_path: Path, scores: list[Score]) -> None:
    write_scores(scores, tmp_path / "scores.csv")
    again = read_scores(tmp_path / "scores.csv")
    assert [row.state for row in again] == [row.state for row in scores]
    for ours, theirs in zip(again, scores, strict=True):
        assert ours.dice == pytest.approx(theirs.dice, rel=1e-5, nan_ok=True)
        assert ours.reference_ml == pytest.approx(theirs.reference_ml)


def test_csv_of_an_awkward_name(tmp_path: Path) -> None:
    write_scores([replace(row("head", 1, "detected"), case='a,"b"')], tmp_path / "scores.csv")
    assert '"a,""b""",p1,head' in (tmp_path / "scores.csv").read_text()


def test_csv_that_cannot_be_written(tmp_path: Path, scores: list[Score]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        write_scores(scores, tmp_path / "file" / "scores.csv")
