"""Tunes the inference of an ensemble on the held-out cases of all its folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from slicewise.dataset.splits import Fold
from slicewise.evaluation.inference_tuning.evidence import CaseEvidence
from slicewise.evaluation.inference_tuning.inference_file import write_inference
from slicewise.evaluation.inference_tuning.options import is_configured
from slicewise.evaluation.inference_tuning.tuning import (
    TunedInference,
    tune_inference,
    write_trials,
)
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.runs import TrackedRun
from slicewise.workflows.held_out import predict_held_out
from slicewise.workflows.train_fold import TrainingSetup


def tune_ensemble(
    setup: TrainingSetup, folds: Sequence[Fold], folder: RunFolder, parent: TrackedRun
) -> TunedInference | None:
    """Tune the inference on all predictions out of fold, and write what was chosen.

    Args:
        setup: of the training of the folds.
        folds: that came to their end, each in a folder of its own below ``folder``.
        folder: takes what is chosen, and a table of all that was tried.
        parent: the run over all folds.

    Returns:
        What was tried and chosen; None where the configuration decides, or one fold is too few.

    Raises:
        DataError: the evidence of a fold is damaged.
    """
    section = setup.config.inference
    if is_configured(section):
        setup.progress.message("no inference tuning: the configuration sets the section inference")
        return None
    cases = [case for fold in folds for case in _evidence(setup, fold, folder)]
    if len({case.fold for case in cases}) < 2:
        setup.progress.message("no inference tuning: it needs held-out cases of two folds")
        return None
    tuned = tune_inference(cases, section)
    write_inference(tuned.inference, folder.inference)
    write_trials(tuned.trials, folder.inference_tuning)
    for path in (folder.inference, folder.inference_tuning):
        parent.log_artifact(path)
    return tuned


def _evidence(setup: TrainingSetup, fold: Fold, folder: RunFolder) -> list[CaseEvidence]:
    """The evidence of a fold; collected now where an earlier version left none."""
    own = folder.fold(fold.number)
    if not own.evidence.exists():
        setup.progress.message(
            f"{own.path} has no {own.evidence.name}: predicting its held-out cases again"
        )
        predict_held_out(setup, setup.cases_of(fold), own)
        own.seal_again()
    found = own.read_evidence(setup.config.data.labels)
    return [replace(case, patient=setup.patient_of(case.case)) for case in found]
