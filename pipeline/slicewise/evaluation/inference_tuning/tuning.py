"""Tunes inference on out-of-fold evidence: how an ensemble makes masks, and all that was tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slicewise.config import InferenceSection
from slicewise.evaluation.inference_tuning.candidates import (
    ALL,
    MIRRORING,
    POST_PROCESSING,
    Candidate,
    TestedCandidate,
    cross_fitted,
    find_candidates,
    select_candidates,
)
from slicewise.evaluation.inference_tuning.dice_prediction import (
    DiceRegression,
    fit_dice_regression,
)
from slicewise.evaluation.inference_tuning.evidence import CaseEvidence
from slicewise.evaluation.inference_tuning.options import (
    NEUTRAL,
    POSTPROCESSING,
    TEMPERATURES,
    mirror_axes,
)
from slicewise.evaluation.paired_difference import PairedDifference, paired_difference
from slicewise.evaluation.paired_tests import Floats
from slicewise.imaging.files import write_table

INFERENCE_TUNING = "inference_tuning.csv"
"""Lies in the folder of all folds: a row each way that was tried."""


@dataclass(frozen=True)
class Trial:
    """One way that was tried.

    Attributes:
        kind: mirroring, post-processing, temperature or predicted Dice.
        structure: that it is about, or ``all``.
        option: what was tried.
        metric: that it may improve.
        gain: mean improvement of the metric over held-out cases; p-values are corrected over all
            candidate masks, and for other metrics not at all.
        chosen: whether it was taken; None where a row only measures the selection.
    """

    kind: str
    structure: str
    option: str
    metric: str
    gain: PairedDifference
    chosen: bool | None


@dataclass(frozen=True)
class TunedInference:
    """The outcome of inference tuning.

    Attributes:
        inference: the section of the configuration with what was chosen.
        trials: all that was tried.
    """

    inference: InferenceSection
    trials: tuple[Trial, ...]


def tune_inference(cases: Sequence[CaseEvidence], base: InferenceSection) -> TunedInference:
    """Tune inference on out-of-fold predictions.

    - Mirroring, and post-processing of each structure, is taken where it gains Dice significantly:
      a permutation test with patients as units, corrected by Holm for all that was tried, and a
      gain of ``LEAST_GAIN``. What the selection itself gains is measured by cross-fitting.
    - The temperature is that of the least negative log-likelihood (nll); it is taken where the one
      that the other folds would have chosen has a lower nll than temperature 1.
    - Dice is predicted where the regression of the other folds has a smaller error than their mean.

    Args:
        cases: of two folds or more, all with the same structures.
        base: what is not tuned stays as it is.
    """
    assert len({case.fold for case in cases}) > 1, "one fold cannot validate its own selection"
    temperature, of_temperature = _temperature(cases)
    tested, of_masks = _masks(cases)
    taken = {item.candidate.place: item.candidate.option for item in tested if item.taken}
    options = {name: option for (kind, name), option in taken.items() if kind == POST_PROCESSING}
    regressions = {
        name: found
        for name in cases[0].structures
        if (found := fit_dice_regression(cases, name, temperature, options.get(name)))
    }
    chosen = {
        "temperature": TEMPERATURES[temperature],
        "mirror_axes": mirror_axes(taken.get((MIRRORING, ALL), "")),
        "postprocessing": {name: POSTPROCESSING[option] for name, option in options.items()},
        "dice_prediction": {
            name: found.regression for name, found in regressions.items() if found.regression
        },
    }
    of_dice = (_dice_trial(name, found) for name, found in regressions.items())
    trials = (*of_temperature, *of_masks, *of_dice)
    return TunedInference(InferenceSection.model_validate(base.model_dump() | chosen), trials)


def write_trials(trials: Sequence[Trial], path: Path) -> None:
    """Write all that was tried as CSV; what is undefined is empty.

    Raises:
        OutputError: the file cannot be written.
    """
    columns = (
        *("kind", "structure", "option", "metric", "cases", "patients"),
        *("gain", "low", "high", "p", "p_corrected", "chosen"),
    )
    rows = (
        (
            *(trial.kind, trial.structure, trial.option, trial.metric),
            *(trial.gain.cases, trial.gain.patients),
            *(trial.gain.mean, trial.gain.low, trial.gain.high),
            *(trial.gain.p_value, trial.gain.p_corrected, trial.chosen),
        )
        for trial in trials
    )
    write_table(path, columns, rows)


def _masks(cases: Sequence[CaseEvidence]) -> tuple[list[TestedCandidate], list[Trial]]:
    """Candidate masks, and the rows about them: each by itself, then the selection."""
    patients, folds = [case.patient for case in cases], [case.fold for case in cases]
    candidates = find_candidates(cases)
    tested = select_candidates(candidates, patients)
    rows = [_mask_trial(item.candidate, item.gain, chosen=item.taken) for item in tested]
    rows += [
        _mask_trial(item, paired_difference(item.gains, patients), chosen=None)
        for item in cross_fitted(candidates, patients, folds)
    ]
    return tested, rows


def _mask_trial(candidate: Candidate, gain: PairedDifference, *, chosen: bool | None) -> Trial:
    return Trial(candidate.kind, candidate.structure, candidate.option, "Dice", gain, chosen)


def _temperature(cases: Sequence[CaseEvidence]) -> tuple[int, list[Trial]]:
    """Index of the chosen temperature, and the row about it."""
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
    gain = paired_difference(gains, [case.patient for case in known])
    place = _least(curves)
    is_taken = gain.mean > 0
    trial = Trial("temperature", ALL, f"{TEMPERATURES[place]:g}", "nll", gain, chosen=is_taken)
    return place if is_taken else NEUTRAL, [trial]


def _least(curves: Floats) -> int:
    """The temperature of the least mean nll, each case counting alike."""
    return int(curves.mean(0).argmin())


def _dice_trial(structure: str, found: DiceRegression) -> Trial:
    regression = found.regression
    option = f"within {regression.error:g}" if regression else "no better than the mean"
    return Trial(
        *("predicted Dice", structure, option, "absolute error of Dice"),
        found.gain,
        chosen=regression is not None,
    )
