"""The evidence of all folds in; out how masks are made from now on, and all that was tried."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slicewise.config import InferenceSection
from slicewise.evaluation.inference_tuning.candidates import (
    ALL,
    CLEANING,
    MIRRORING,
    Candidate,
    Judged,
    cross_fitted,
    find_candidates,
    judge,
)
from slicewise.evaluation.inference_tuning.dice_prediction import (
    DiceRegression,
    fit_dice_regression,
)
from slicewise.evaluation.inference_tuning.effects import Effect, Floats, effect
from slicewise.evaluation.inference_tuning.evidence import CaseEvidence
from slicewise.evaluation.inference_tuning.options import (
    NEUTRAL,
    POSTPROCESSING,
    TEMPERATURES,
    mirror_axes,
)
from slicewise.imaging.files import write_text

INFERENCE_TUNING = "inference_tuning.csv"
"""Lies in the folder of all folds: a row each way that was tried."""


@dataclass(frozen=True)
class Trial:
    """One way that was tried.

    Attributes:
        kind: mirroring, post-processing, temperature or expected Dice.
        structure: that it sanity_checks, or ``all``.
        option: what was tried.
        figure: that the effect is about.
        effect: mean gain over held-out cases.
        p_corrected: over all ways to make a mask that were tried; NaN for other figures.
        chosen: whether it holds from now on; None where a row only measures the choosing.
    """

    kind: str
    structure: str
    option: str
    figure: str
    effect: Effect
    p_corrected: float
    chosen: bool | None


@dataclass(frozen=True)
class TunedInference:
    """What held-out cases chose.

    Attributes:
        inference: from slices to a mask, as it is best.
        trials: all that was tried.
    """

    inference: InferenceSection
    trials: tuple[Trial, ...]


def tune_inference(cases: Sequence[CaseEvidence], base: InferenceSection) -> TunedInference:
    """Choose from predictions that were made out of fold.

    - Mirroring, and post-processing of each structure, is taken where it gains Dice significantly:
      a permutation test with patients as units, corrected by Holm for all that was tried, and a
      gain that is worth it. What the choosing itself gains is measured by choosing on the other
      folds.
    - The temperature is that of the least nll by the truth; it is taken where the one that
      the other folds would have chosen is less surprised than none.
    - Dice is foretold where the line of the other folds is nearer to it than their mean.

    Args:
        cases: of two folds or more, each told about the same structures.
        base: what is not chosen stays as it is.
    """
    assert len({case.fold for case in cases}) > 1, "one fold cannot check its own choices"
    temperature, of_temperature = _temperature(cases)
    judged, of_masks = _masks(cases)
    taken = {item.candidate.place: item.candidate.option for item in judged if item.taken}
    cleaned = {name: option for (kind, name), option in taken.items() if kind == CLEANING}
    foretold = {
        name: found
        for name in cases[0].structures
        if (found := fit_dice_regression(cases, name, temperature, cleaned.get(name)))
    }
    chosen = {
        "temperature": TEMPERATURES[temperature],
        "mirror_axes": mirror_axes(taken.get((MIRRORING, ALL), "")),
        "postprocessing": {name: POSTPROCESSING[option] for name, option in cleaned.items()},
        "dice_prediction": {
            name: found.regression for name, found in foretold.items() if found.regression
        },
    }
    trials = (*of_temperature, *of_masks, *(_dice_regressions(*item) for item in foretold.items()))
    return TunedInference(InferenceSection.model_validate(base.model_dump() | chosen), trials)


def write_trials(trials: Sequence[Trial], path: Path) -> None:
    """Write all that was tried as CSV; what is undefined is empty.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for trial in trials:
        found = trial.effect
        figures = (found.mean, found.low, found.high, found.p_value, trial.p_corrected)
        writer.writerow(
            (
                *(trial.kind, trial.structure, trial.option, trial.figure),
                *(found.cases, found.patients),
                *("" if math.isnan(value) else f"{value:.6g}" for value in figures),
                "" if trial.chosen is None else "yes" if trial.chosen else "no",
            )
        )
    write_text(path, text.getvalue())


_COLUMNS = (
    *("kind", "structure", "option", "figure", "cases", "patients"),
    *("gain", "low", "high", "p", "p_corrected", "chosen"),
)


def _masks(cases: Sequence[CaseEvidence]) -> tuple[list[Judged], list[Trial]]:
    """Ways to make a mask, and the rows about them: each by itself, then the choosing."""
    patients, folds = [case.patient for case in cases], [case.fold for case in cases]
    candidates = find_candidates(cases)
    judged = judge(candidates, patients)
    rows = [
        _mask_trial(item.candidate, item.effect, item.p_corrected, chosen=item.taken)
        for item in judged
    ]
    rows += [
        _mask_trial(item, effect(item.gains, patients), math.nan, chosen=None)
        for item in cross_fitted(candidates, patients, folds)
    ]
    return judged, rows


def _mask_trial(
    candidate: Candidate, found: Effect, p_corrected: float, *, chosen: bool | None
) -> Trial:
    names = (candidate.kind, candidate.structure, candidate.option)
    return Trial(*names, "Dice", found, p_corrected, chosen)


def _temperature(cases: Sequence[CaseEvidence]) -> tuple[int, list[Trial]]:
    """Place of the chosen temperature, and the row about it."""
    known = [case for case in cases if case.nll is not None]
    if not known:
        return NEUTRAL, []
    curves = np.array([case.nll for case in known])  # (cases, temperatures)
    folds = np.array([case.fold for case in known])
    gains = np.zeros(len(known))
    for fold in np.unique(folds):
        inside = folds == fold
        place = NEUTRAL if inside.all() else _least(curves[~inside])
        gains[inside] = curves[inside, NEUTRAL] - curves[inside, place]
    found = effect(gains, [case.patient for case in known])
    place = _least(curves)
    is_taken = found.mean > 0
    trial = Trial(
        "temperature", ALL, f"{TEMPERATURES[place]:g}", "nll", found, math.nan, chosen=is_taken
    )
    return place if is_taken else NEUTRAL, [trial]


def _least(curves: Floats) -> int:
    """The temperature of the least mean nll, each case counting alike."""
    return int(curves.mean(0).argmin())


def _dice_regressions(structure: str, found: DiceRegression) -> Trial:
    regression = found.regression
    option = f"within {regression.error:g}" if regression else "no better than the mean"
    return Trial(
        *("expected Dice", structure, option, "distance from Dice"),
        *(found.effect, math.nan),
        chosen=regression is not None,
    )
