"""What significantly helps is chosen, what may be chance is not, and the selection is measured."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import linregress

from slicewise.config import InferenceSection
from slicewise.evaluation.inference_tuning.candidates import (
    cross_fitted,
    find_candidates,
    select_candidates,
)
from slicewise.evaluation.inference_tuning.evidence import CaseEvidence, MaskEvidence
from slicewise.evaluation.inference_tuning.options import NEUTRAL, TEMPERATURES
from slicewise.evaluation.inference_tuning.tuning import (
    Trial,
    TunedInference,
    tune_inference,
    write_trials,
)

MakeCase = Callable[..., CaseEvidence]
MakeCases = Callable[..., list[CaseEvidence]]
BASE = InferenceSection(overlap=0.25, batch_size=7)
LARGEST = "largest component"


def trials(tuned: TunedInference, kind: str) -> list[Trial]:
    return [trial for trial in tuned.trials if trial.kind == kind]


def test_what_helps_everyone_is_chosen(make_cases: MakeCases) -> None:
    tuned = tune_inference(make_cases(LARGEST, [0.02] * 20), BASE)
    assert tuned.inference.postprocessing["core"].largest_component
    assert (tuned.inference.overlap, tuned.inference.batch_size) == (0.25, 7)
    own, selection = trials(tuned, "post-processing")
    assert (own.structure, own.option, own.chosen) == ("core", LARGEST, True)
    assert own.gain.mean == pytest.approx(0.02)
    assert own.gain.p_corrected < 0.001
    # Any three folds choose the same.
    assert (selection.chosen, selection.gain.mean) == (None, pytest.approx(0.02))


@pytest.mark.parametrize(
    ("gains", "why"),
    [
        ([-0.02] * 20, "it harms"),
        ([0.1, -0.09] * 10, "it may be chance"),
        ([0.0005] * 20, "it is too little"),
        ([0.3] + [0.0] * 19, "it helps one"),
        ([0.02] * 4, "too few to tell"),
    ],
)
def test_what_is_not_chosen(make_cases: MakeCases, gains: list[float], why: str) -> None:
    tuned = tune_inference(make_cases(LARGEST, gains), BASE)
    assert tuned.inference == BASE, why
    own, selection = trials(tuned, "post-processing")
    assert own.chosen is False
    assert own.gain.mean == pytest.approx(np.mean(gains))
    assert selection.gain.mean == 0


def test_patients_are_the_units(make_cases: MakeCases) -> None:
    cases = make_cases(LARGEST, [0.02] * 20)
    same = [replace(case, patient=f"patient{number // 10}") for number, case in enumerate(cases)]
    tuned = tune_inference(same, BASE)
    assert tuned.inference == BASE
    assert trials(tuned, "post-processing")[0].gain.patients == 2


def test_the_best_of_several_is_chosen(make_case: MakeCase) -> None:
    options = {"fill holes": 0.81, LARGEST: 0.83, "components of 0.1 ml and more": 0.83}
    cases = [make_case(number, 0.8, changed=options) for number in range(20)]
    chosen = tune_inference(cases, BASE).inference.postprocessing["core"]
    assert chosen.largest_component
    assert not chosen.fill_holes
    assert chosen.minimum_volume_ml == 0


def test_what_changes_no_mask_needs_no_test(make_case: MakeCase) -> None:
    cases = [make_case(number) for number in range(8)]
    assert find_candidates(cases) == []
    assert trials(tune_inference(cases, BASE), "post-processing") == []


def test_removing_a_false_positive_structure_is_a_gain(make_case: MakeCase) -> None:
    cases = [make_case(number, 0.0, changed={LARGEST: None}) for number in range(20)]
    (candidate,) = find_candidates(cases)
    assert candidate.gains.tolist() == [1.0] * 20


def test_the_selection_is_measured_on_what_it_has_not_seen(make_cases: MakeCases) -> None:
    # One fold gains much, the others a little against it: all together would choose it.
    gains = [0.5 if number % 4 == 0 else -0.002 for number in range(40)]
    cases = make_cases(LARGEST, gains)
    candidates = find_candidates(cases)
    patients, folds = [case.patient for case in cases], [case.fold for case in cases]
    assert select_candidates(candidates, patients)[0].taken
    (measured,) = cross_fitted(candidates, patients, folds)
    held_out = measured.gains.reshape(10, 4)
    assert (held_out[:, 0] == 0).all()  # the others would not have chosen it
    assert held_out[:, 1:] == pytest.approx(np.full((10, 3), -0.002))


def test_mirroring_is_chosen_for_all_structures(make_case: MakeCase) -> None:
    def case(number: int, mirrored: float) -> CaseEvidence:
        options = {"up-down": {"core": 0.7}, "left-right": {"core": mirrored}}
        return make_case(number, 0.8, mirrored=options)

    tuned = tune_inference([case(number, 0.82) for number in range(12)], BASE)
    assert tuned.inference.mirror_axes == ("left_right",)
    rows = {row.option: row for row in trials(tuned, "mirroring")}
    assert rows["up-down"].gain.mean == pytest.approx(-0.1)
    assert rows["up-down"].chosen is False
    both = {"left-right, up-down": {"core": 0.9}}
    cases = [replace(case(n, 0.82), mirrored=case(n, 0.82).mirrored | both) for n in range(12)]
    assert tune_inference(cases, BASE).inference.mirror_axes == ("left_right", "up_down")


def test_temperature_is_that_of_the_least_nll(make_case: MakeCase) -> None:
    tuned = tune_inference([make_case(number, best=NEUTRAL + 3) for number in range(8)], BASE)
    assert tuned.inference.temperature == TEMPERATURES[NEUTRAL + 3]
    (row,) = trials(tuned, "temperature")
    assert (row.option, row.chosen) == ("1.6818", True)
    assert row.gain.mean == pytest.approx(0.03)


def test_a_temperature_that_other_folds_contradict_is_not_taken(make_case: MakeCase) -> None:
    # Each of two folds wants what the other one suffers from.
    cases = [make_case(number, best=NEUTRAL + (6 if number % 2 else -6)) for number in range(8)]
    cases = [replace(case, fold=case.fold % 2) for case in cases]
    tuned = tune_inference(cases, BASE)
    assert tuned.inference.temperature == 1
    assert trials(tuned, "temperature")[0].gain.mean < 0


def test_cases_without_any_structure_tell_nothing_of_temperature(make_case: MakeCase) -> None:
    tuned = tune_inference([make_case(number, nll=None) for number in range(8)], BASE)
    assert trials(tuned, "temperature") == []
    assert tuned.inference.temperature == 1


def on_a_line(make_case: MakeCase, noise: float, count: int = 40) -> list[CaseEvidence]:
    random = np.random.default_rng(1)
    estimated = random.uniform(0.5, 0.9, count)
    dice = 0.1 + 0.8 * estimated + random.normal(0, noise, count)
    return [
        make_case(number, float(y), estimated_dice=float(x))
        for number, (x, y) in enumerate(zip(estimated, dice, strict=True))
    ]


def test_dice_is_predicted_with_its_error(make_case: MakeCase) -> None:
    cases = on_a_line(make_case, 0.02)
    tuned = tune_inference(cases, BASE)
    line = tuned.inference.dice_prediction["core"]
    points = [
        (c.structures["core"].plain.estimated_dice[0], c.structures["core"].plain.dice)
        for c in cases
    ]
    reference = linregress(*np.array(points, dtype=float).T)
    assert (line.intercept, line.slope) == pytest.approx(
        (reference.intercept, reference.slope), abs=1e-4
    )
    assert line.error == pytest.approx(0.02, abs=0.006)
    (row,) = trials(tuned, "predicted Dice")
    assert row.chosen
    assert row.gain.mean > 0


def test_an_estimate_unrelated_to_dice_predicts_nothing(make_case: MakeCase) -> None:
    random = np.random.default_rng(3)
    cases = [
        make_case(
            number, float(random.uniform(0.5, 0.9)), estimated_dice=float(random.uniform(0.5, 0.9))
        )
        for number in range(40)
    ]
    tuned = tune_inference(cases, BASE)
    assert tuned.inference.dice_prediction == {}
    assert trials(tuned, "predicted Dice")[0].chosen is False


@pytest.mark.parametrize("count", [1, 9])
def test_few_masks_draw_no_line(make_case: MakeCase, count: int) -> None:
    empty = [make_case(number + count, 0.0, estimated_dice=0.0) for number in range(12)]
    tuned = tune_inference([*on_a_line(make_case, 0.0, count), *empty], BASE)
    assert tuned.inference.dice_prediction == {}
    assert trials(tuned, "predicted Dice") == []


def test_dice_prediction_follows_the_chosen_post_processing(make_case: MakeCase) -> None:
    cases = []
    for case in on_a_line(make_case, 0.02):
        core = case.structures["core"]
        assert core.plain.dice is not None
        better = MaskEvidence(core.plain.dice + 0.05, core.plain.estimated_dice)
        cases.append(replace(case, structures={"core": replace(core, changed={LARGEST: better})}))
    before = tune_inference(on_a_line(make_case, 0.02), BASE).inference.dice_prediction["core"]
    after = tune_inference(cases, BASE).inference.dice_prediction["core"]
    assert after.intercept == pytest.approx(before.intercept + 0.05, abs=2e-4)


def test_the_table_says_all_that_was_tried(make_cases: MakeCases, tmp_path: Path) -> None:
    write_trials(
        tune_inference(make_cases(LARGEST, [0.02] * 20), BASE).trials,
        tmp_path / "inference_tuning.csv",
    )
    rows = list(csv.DictReader((tmp_path / "inference_tuning.csv").read_text().splitlines()))
    temperature, own, selection, predicted = rows
    assert (temperature["kind"], temperature["structure"]) == ("temperature", "all")
    assert (own["option"], own["gain"], own["chosen"]) == (LARGEST, "0.02", "yes")
    assert (selection["p_corrected"], selection["chosen"]) == ("", "")
    assert (predicted["kind"], predicted["chosen"]) == ("predicted Dice", "no")
    assert "nan" not in (tmp_path / "inference_tuning.csv").read_text()
