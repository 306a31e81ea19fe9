"""Rows that hide neither false-negative nor undefined structures, and their table."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slicewise.config import StructureSection
from slicewise.errors import DataError, GeometryError, OutputError
from slicewise.evaluation.scores import Score, read_scores, score_case, write_scores
from slicewise.imaging.structures import structures_of
from slicewise.imaging.volume import Volume
from slicewise.metrics.components import ComponentCounts

STRUCTURES = structures_of({"head": 1, "body": 2, "tail": 4, "ghost": 7}, {})
HEAD = STRUCTURES[:1]


def a_volume(*values: float) -> Volume:
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
    assert (head.state, body.state) == ("detected", "false negative")
    assert (tail.state, ghost.state) == ("false positive", "both empty")
    assert (body.dice, body.iou, tail.dice, tail.iou) == (0, 0, 0, 0)
    assert math.isnan(ghost.dice)
    assert math.isnan(ghost.iou)


def test_volumes_in_millilitres(scores: list[Score]) -> None:
    assert [row.predicted_ml for row in scores] == pytest.approx([0.2, 0, 0.1, 0])
    assert [row.reference_ml for row in scores] == pytest.approx([0.1, 0.1, 0, 0])


@pytest.mark.fault(140, "OK")
def test_without_a_spacing_sizes_are_in_pixels(tmp_path: Path, scores: list[Score]) -> None:
    predicted, reference = (
        replace(a_volume(*values), affine=np.eye(4), spacing_is_known=False)
        for values in ((1, 1, 0, 1), (1, 0, 0, 1))
    )
    (score,) = score_case("picture", predicted, reference, HEAD).scores
    assert (score.predicted_ml, score.reference_ml) == (3, 2)
    assert score.in_pixels
    path = tmp_path / "scores.csv"
    write_scores([score, scores[0]], path)
    picture, scan = csv.DictReader(path.read_text().splitlines())
    assert picture["hd95_mm"] == picture["reference_ml"] == picture["volume_error_ml"] == ""
    assert (picture["reference_px"], picture["volume_error_px"]) == ("2", "1")
    assert float(picture["hd95_px"]) == pytest.approx(score.hd95_mm)
    assert scan["reference_px"] == ""
    assert float(scan["reference_ml"]) == pytest.approx(0.1)
    of_picture, of_scan = read_scores(path)
    assert (of_picture.in_pixels, of_scan.in_pixels) == (True, False)
    assert (of_picture.reference_ml, of_scan.reference_ml) == pytest.approx((2, 0.1))
    assert of_picture.hd95_mm == pytest.approx(score.hd95_mm)
    write_scores(scores, path)
    assert "_px" not in path.read_text()


def test_structures_side_by_side_are_detected_without_overlap() -> None:
    (score,) = score_case("case", a_volume(1, 0), a_volume(0, 1), HEAD).scores
    assert (score.state, score.dice) == ("detected", 0)


def test_another_grid_is_refused() -> None:
    with pytest.raises(GeometryError):
        score_case("case", a_volume(1, 0), a_volume(1, 0, 0), HEAD)


def test_figures_of_every_door(scores: list[Score]) -> None:
    head, body, tail, ghost = scores
    assert (head.sensitivity, head.precision) == (1, 0.5)
    # Surfaces at voxel 0 and 1 against voxel 0, along 10 mm voxels.
    assert head.surface_distance_mm == pytest.approx(10 / 3)
    assert head.hd95_mm == pytest.approx(9.5)
    assert head.surface_dice == pytest.approx(2 / 3)
    assert (body.surface_dice, tail.surface_dice) == (0, 0)
    assert head.volume_error_ml == pytest.approx(0.1)
    assert head.relative_volume_error == pytest.approx(1)
    assert all(math.isnan(row.hd95_mm) for row in (body, tail, ghost))
    assert math.isnan(tail.relative_volume_error)
    assert math.isnan(ghost.surface_dice)
    assert math.isnan(head.calibration_error)
    assert math.isnan(head.component_f1)


def test_tolerance_and_pieces_are_those_of_the_structure() -> None:
    section = StructureSection(surface_tolerance_mm=10, several_components=True)
    structures = structures_of({"head": 1}, {"head": section})
    predicted, reference = a_volume(1, 1, 0, 0, 1), a_volume(1, 0, 0, 1, 0)
    (score,) = score_case("case", predicted, reference, structures).scores
    assert score.surface_dice == 1
    assert score.components == ComponentCounts(reference=2, found=1, predicted=2, false_positive=1)
    assert (score.component_sensitivity, score.component_precision) == (0.5, 0.5)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAR"])
def test_probabilities(codes: str) -> None:
    values = np.array([0.9, 0.7, 0.2, 0.4, 0.0], dtype=np.float32)
    soft = [a_volume(*column) for column in (1 - values, values)]
    predicted, reference = a_volume(1, 1, 0, 0, 0), a_volume(1, 0, 0, 1, 0)
    turned = [volume.reoriented(codes) for volume in (predicted, *soft)]
    case = score_case("case", turned[0], reference, HEAD, probabilities=turned[1:])
    (score,) = case.scores
    assert score.confidence == pytest.approx(0.8)
    # In ranges of their own: 0.1, 0.7, 0.2 and 0.6 away from the truth; the fifth says nothing.
    assert score.calibration_error == pytest.approx((0.1 + 0.7 + 0.2 + 0.6) / 4)
    assert sum(case.reliability["head"].positives) == 2


def test_nothing_predicted_has_no_confidence() -> None:
    soft = [a_volume(*column) for column in ((1, 1), (0, 0))]
    (score,) = score_case("case", a_volume(0, 0), a_volume(0, 1), HEAD, probabilities=soft).scores
    assert math.isnan(score.confidence)
    assert math.isnan(score.calibration_error)


def test_without_a_patient_the_case_is_one(scores: list[Score]) -> None:
    assert {row.patient for row in scores} == {"case"}


def test_csv(tmp_path: Path, scores: list[Score]) -> None:
    write_scores(scores, tmp_path / "deep" / "scores.csv")
    with (tmp_path / "deep" / "scores.csv").open(newline="") as stream:
        head, body, tail, ghost = csv.DictReader(stream)
    assert (head["dice"], head["iou"], head["reference_ml"]) == ("0.666667", "0.5", "0.1")
    assert (body["state"], body["dice"], body["precision"]) == ("false negative", "0", "")
    assert (tail["state"], tail["sensitivity"]) == ("false positive", "")
    assert (ghost["dice"], ghost["predicted_ml"], ghost["found_components"]) == ("", "0", "")


def test_rows_are_read_back(tmp_path: Path, scores: list[Score]) -> None:
    write_scores(scores, tmp_path / "scores.csv")
    again = read_scores(tmp_path / "scores.csv")
    assert [row.state for row in again] == [row.state for row in scores]
    for ours, theirs in zip(again, scores, strict=True):
        assert ours.dice == pytest.approx(theirs.dice, rel=1e-5, nan_ok=True)
        assert ours.reference_ml == pytest.approx(theirs.reference_ml)


def test_pieces_are_read_back(tmp_path: Path, scores: list[Score]) -> None:
    counted = replace(scores[0], components=ComponentCounts(5, 4, 3, 2))
    write_scores([counted, scores[1]], tmp_path / "scores.csv")
    again = read_scores(tmp_path / "scores.csv")
    assert [row.components for row in again] == [ComponentCounts(5, 4, 3, 2), None]


def test_csv_of_an_awkward_name(tmp_path: Path, scores: list[Score]) -> None:
    awkward = replace(scores[0], case='a,"b"', patient="p1")
    write_scores([awkward], tmp_path / "scores.csv")
    assert '"a,""b""",p1,head' in (tmp_path / "scores.csv").read_text()
    assert read_scores(tmp_path / "scores.csv")[0].case == 'a,"b"'


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (",patient,", ",", "no column patient"),
        ("case,patient", "name,person", "no column case and 1 more"),
        ("detected", "seen", "state 'seen'"),
        ("0.666667", "much", "could not convert"),
        ("\ncase,case,tail", "\ncase,case\ncase,case,tail", "another length"),
    ],
)
def test_csv_that_is_none_of_ours(
    tmp_path: Path, scores: list[Score], before: str, after: str, found: str
) -> None:
    path = tmp_path / "scores.csv"
    write_scores(scores, path)
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    with pytest.raises(DataError) as caught:
        read_scores(path)
    assert found in caught.value.found


def test_csv_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_scores(tmp_path / "scores.csv")


def test_csv_that_cannot_be_written(tmp_path: Path, scores: list[Score]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        write_scores(scores, tmp_path / "file" / "scores.csv")
