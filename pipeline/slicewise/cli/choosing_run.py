"""Inference tuned on the held-out cases of all folds: shown, written and tracked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from slicewise.cli.console import figure, note, show_table
from slicewise.cli.fold_run import FoldCases
from slicewise.cli.fold_training import TrainingJob, predict_held_out
from slicewise.dataset.splits import Fold
from slicewise.evaluation.inference_tuning.evidence import EVIDENCE, CaseEvidence, read_evidence
from slicewise.evaluation.inference_tuning.inference_file import INFERENCE, write_inference
from slicewise.evaluation.inference_tuning.options import is_decided
from slicewise.evaluation.inference_tuning.tuning import (
    INFERENCE_TUNING,
    Trial,
    tune_inference,
    write_trials,
)
from slicewise.tracking.runs import TrackedRun


def choose_and_show(job: TrainingJob, folds: Sequence[Fold], out: Path, parent: TrackedRun) -> None:
    """Choose how masks are made, from all predictions out of fold.

    Args:
        job: that trained the folds.
        folds: that came to their end, each in ``out/fold-K``.
        out: takes what is chosen, and a table of all that was tried.
        parent: the run over all folds.

    Raises:
        DataError: the evidence of a fold is damaged.
    """
    section = job.config.inference
    if is_decided(section):
        note("nothing is chosen: the section inference of the configuration has decided")
        return
    cases = [case for fold in folds for case in _evidence(job, fold, out)]
    if len({case.fold for case in cases}) < 2:
        note("nothing is chosen: that takes held-out cases of two folds")
        return
    choices = tune_inference(cases, section)
    write_inference(choices.inference, out / INFERENCE)
    write_trials(choices.trials, out / INFERENCE_TUNING)
    for name in (INFERENCE, INFERENCE_TUNING):
        parent.log_artifact(out / name)
    show_trials(choices.trials)
    note(
        f"`slicewise predict {out}` follows {out / INFERENCE}; "
        f"all that was tried: {INFERENCE_TUNING}"
    )


def show_trials(trials: Sequence[Trial]) -> None:
    """Print a row each way that was tried."""
    columns = ("tried on held-out cases", "option", "of", "gain [95 %]", "p", "chosen")
    show_table("What held-out cases tune_inference", columns, [_row(trial) for trial in trials])
    note(
        "Gains are means over cases, intervals and tests draw patients, p is corrected for all "
        "masks that were tried. A row without a choice measures the choosing itself: each fold "
        "with what the other folds would have chosen. Figures are those of single networks, not "
        "of the ensemble of all folds."
    )


def _row(trial: Trial) -> tuple[str, ...]:
    found = trial.effect
    interval = "" if found.low != found.low else f" [{found.low:+.4f}, {found.high:+.4f}]"
    p = found.p_value if trial.p_corrected != trial.p_corrected else trial.p_corrected
    return (
        f"{trial.kind}, {trial.structure}",
        trial.option,
        trial.figure,
        f"{found.mean:+.4f}{interval}",
        figure(p),
        "" if trial.chosen is None else "yes" if trial.chosen else "no",
    )


def _evidence(job: TrainingJob, fold: Fold, out: Path) -> list[CaseEvidence]:
    """What the held-out cases of a fold tell; gathered now where an earlier version left none."""
    folder = out / f"fold-{fold.number}"
    if not (folder / EVIDENCE).is_file():
        note(f"{folder} has no {EVIDENCE}: predicting its held-out cases once more")
        predict_held_out(job, FoldCases(fold, job.catalogue, job.prepared), folder)
    found = read_evidence(folder, job.config.data.labels)
    return [replace(case, patient=job.patient_of(case.case)) for case in found]
