"""Trains one fold: from slices to a scored, tracked and registered model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from slicewise.config import Config, text_without_places
from slicewise.dataset.fold_cases import FoldCases
from slicewise.dataset.splits import Fold
from slicewise.dataset.work_folder import WorkFolder
from slicewise.evaluation.predict_and_score import ScoredCases, shown_patient
from slicewise.evaluation.results import (
    HISTORY,
    RunFacts,
    write_losses,
    write_results,
    write_run_config,
)
from slicewise.evaluation.scores import Score, write_scores
from slicewise.evaluation.statistics import mean_dice, summarize
from slicewise.imaging.pseudonyms import Pseudonyms
from slicewise.progress import Progress
from slicewise.quantities import counted, figure
from slicewise.segmentation.budget import plan_run
from slicewise.segmentation.generalization import generalization_of
from slicewise.segmentation.memory import memory_for_training
from slicewise.segmentation.process_group import ALONE, ProcessGroup
from slicewise.segmentation.resuming import resume_training
from slicewise.segmentation.training import Training
from slicewise.tracking.model_card import model_card
from slicewise.tracking.overwriting import (
    claim_training,
    clear_training,
    require_free,
    training_target,
)
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.run_index import remember_run
from slicewise.tracking.runs import TrackedRun, continue_run, start_run
from slicewise.tracking.store import Store
from slicewise.workflows.held_out import predict_held_out
from slicewise.workflows.initial_model import InitialModel, record_initial_model
from slicewise.workflows.messages import report_set_aside
from slicewise.workflows.prepare import PreparedData
from slicewise.workflows.run_observer import RunObserver
from slicewise.workflows.track_fold import log_cases, log_results, run_facts

GIVEN, SPLIT = "given.yaml", "split.json"
"""Of a tracked run: the configuration with its comments, and which cases were on which side."""


@dataclass(frozen=True)
class TrainingSetup:
    """What the folds of one training share.

    Attributes:
        config: as it was given.
        data: catalogue and slices.
        store: where runs and models are tracked.
        work: the work folder, with the key of the pseudonyms.
        resume: continue what lies in the folder of a fold.
        overwrite: replace what lies there.
        progress: receives the progress.
        initial: the model to start from; None starts from random weights.
        config_file: that ``config`` was read from; None where there is no file.
        group: of the processes that train together.
    """

    config: Config
    data: PreparedData
    store: Store
    work: WorkFolder
    resume: bool
    overwrite: bool
    progress: Progress
    initial: InitialModel | None = None
    config_file: Path | None = None
    group: ProcessGroup = ALONE

    def cases_of(self, fold: Fold) -> FoldCases:
        """The cases of a fold."""
        return FoldCases(fold, self.data.catalogue, self.data.prepared)

    def log_origin(self, run: TrackedRun, folds: Sequence[Fold]) -> None:
        """Log the configuration as it was written, and the folds as ``data.folds`` takes them."""
        if self.config_file is not None:
            run.log_text(text_without_places(self.config_file, self.config), GIVEN)
        run.log_json([{"train": fold.train, "val": fold.val} for fold in folds], SPLIT)

    def patient_of(self, case: str) -> str:
        """The patient of a case, as results may name it.

        Folds that were trained with another work folder name patients by another key: those of
        one patient would count as two.
        """
        return shown_patient(self.data.catalogue.case(case), self.pseudonyms)

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        """By the key of the work folder."""
        return self.work.pseudonyms


@dataclass(frozen=True)
class FoldResult:
    """A fold that was trained and scored.

    Attributes:
        folder: checkpoints, configuration, masks, scores, examples.
        fold: names of the cases of both sides.
        scored: the held-out cases.
        facts: about the run.
        run_id: of the tracked run.
        registered: version and alias of the registered model; empty for a fold of several.
    """

    folder: RunFolder
    fold: Fold
    scored: ScoredCases
    facts: RunFacts
    run_id: str
    registered: str


def train_fold(
    setup: TrainingSetup, fold: Fold, folder: RunFolder, parent: str | None = None
) -> FoldResult:
    """Train one fold, score its held-out cases, track and register it.

    Args:
        setup: what the folds share.
        fold: that is trained.
        folder: takes checkpoints and results.
        parent: id of the run over all folds, which registers the networks together.

    Raises:
        OutputError: the folder holds another training, or belongs to another process.
        TrainingError, InterruptedBySignal, CheckpointError: see ``Training`` and resuming.
    """
    config, cases, progress = setup.config, setup.cases_of(fold), setup.progress
    may = {"resume": setup.resume, "overwrite": setup.overwrite}
    target = training_target(setup.data.catalogue.files, **may)
    claim_training(target, folder)
    with target.writing(folder.path):
        require_free(folder, **may)
        if not setup.resume:
            clear_training(folder)
        record_initial_model(setup.initial, folder, resume=setup.resume)
        for text in cases.summary():
            progress.message(text)
        with memory_for_training(config):
            training = _training(setup, cases, folder)
        for text in training.group.summary(training.network, config.training.batch_size):
            progress.message(text)
        if setup.resume and folder.is_finished:
            progress.message(f"{folder.path} is finished already")
            return _finished(setup, fold, folder)
        folder.reopen()
        with _tracked(setup, training.config, fold, folder, parent) as run:
            # Folder and data set may have moved since a training began.
            remember_run(setup.work.path, run.run_id, folder, setup.config)
            log_cases(run, cases, config.name)
            _run(training, folder, run, progress)
            scored, scans = predict_held_out(setup, cases, folder)
            report_set_aside(progress, scored.set_aside)
            seconds = training.progress.seconds
            facts = run_facts(cases, config, "network", scored, seconds, scans)
            write_results(folder.path, facts, scored.scores, scored.reliability)
            files = (folder.path / HISTORY, folder.losses)
            step = training.progress.step
            log_results(run, step, training.config, cases, scored, folder, files)
            checkpoint = folder.kept_checkpoint(config)
            run.log_checkpoint(checkpoint)
            known = {"run": run.run_id, **folder.initial_facts()}
            # Folds of a cross-validation are registered together, by the run over all of them.
            if parent is None:
                model = ModelFiles((checkpoint,))
                known["registered"] = register(run, model, training.config, [facts], scored.scores)
            folder.finish(training.config, known)
    return FoldResult(folder, fold, scored, facts, run.run_id, known.get("registered", ""))


def register(
    run: TrackedRun,
    files: ModelFiles,
    config: Config,
    folds: Sequence[RunFacts],
    scores: Sequence[Score],
) -> str:
    """Register a model with its card; returns its version and alias.

    Args:
        run: that it comes from.
        files: its networks, and its tuned inference.
        config: of the training.
        folds: facts of the fold of each network.
        scores: of all their held-out cases.
    """
    return run.register(
        files,
        config.model_name,
        card=model_card(config, folds, scores),
        contrasts=config.data.contrasts,
        tags={
            "dice": figure(mean_dice(summarize(scores))),
            "fold": ", ".join(str(fold.fold) for fold in folds),
            "folds": folds[0].folds,
        },
    )


def _training(setup: TrainingSetup, cases: FoldCases, folder: RunFolder) -> Training:
    config, fold, progress = setup.config, cases.fold, setup.progress
    train, val = cases.train, cases.val
    if setup.resume:
        number, group = str(fold.number), setup.group
        training = resume_training(config, train, val, number, folder.path, group)
        progress.message(f"continuing at {training.course.state_in_words(training.progress.step)}")
        return training
    plan = plan_run(config, train, val, setup.group)
    progress.message(plan.summary())
    if plan.warning:
        progress.message(plan.warning)
    write_run_config(plan.config, folder.config)
    initial = setup.initial
    for text in () if initial is None else initial.summary([case.name for case in val]):
        progress.message(text)
    checkpoint = None if initial is None else initial.checkpoint
    return plan.start(
        Training(plan.config, train, val, str(fold.number), checkpoint, group=setup.group)
    )


def _run(training: Training, folder: RunFolder, run: TrackedRun, progress: Progress) -> None:
    steps = training.config.training.steps
    with progress.task("training", steps, completed=training.progress.step) as task:
        done = training.run(folder.path, RunObserver(progress, task, run, training.course))
    # With the steps that a budget in minutes had time for.
    write_run_config(training.config, folder.config)
    write_losses(folder.losses, done.losses)
    share = done.data_seconds / max(done.step_seconds, 1e-9)
    progress.message(
        f"trained {done.step} steps in {done.seconds / 60:.1f} min, validations included; "
        f"loading data took {share:.1%} of a step"
    )
    if done.skipped:
        progress.message(
            f"warning: {counted(done.skipped, 'step')} of {done.step} had no effect, because "
            "gradients overflowed in float16; training.precision=float32 avoids this"
        )
    if done.parts > 1:
        progress.message(
            f"warning: memory was full; since then the {training.config.training.batch_size} "
            f"windows of a step were computed in {done.parts} parts, and their gradients added up"
        )
    times = {"train.seconds": done.seconds, "train.steps": done.step}
    times |= {"train.data_share_of_step": share}
    if (found := generalization_of(training)) is not None:
        progress.message(found.sentence())
        times["train.dice"] = found.trained
    logging = {
        "tracking.seconds": run.logging_seconds,
        "tracking.share": run.logging_seconds / max(done.seconds, 1e-9),
    }
    run.log_metrics(done.step, times | logging)


def _tracked(
    setup: TrainingSetup,
    config: Config,
    fold: Fold,
    folder: RunFolder,
    parent: str | None,
) -> TrackedRun:
    """The run of a training; a resumed training continues the run that it began in."""
    if setup.resume and folder.has_run:
        run = continue_run(setup.store, folder.run_id())
    else:
        name = f"fold {fold.number}, {config.name}"
        tags = {"slicewise.folds": fold.kind, "slicewise.kind": "network"}
        tags |= {f"slicewise.{key}": value for key, value in folder.initial_facts().items()}
        if setup.group.size > 1:
            tags["slicewise.processes"] = str(setup.group.size)
        run = start_run(setup.store, config, name, fold=fold.number, tags=tags, parent=parent)
        setup.log_origin(run, [fold])
    return run


def _finished(setup: TrainingSetup, fold: Fold, folder: RunFolder) -> FoldResult:
    known = folder.finished_facts()
    (results,) = folder.results()
    assert results.facts is not None
    scores = [replace(score, patient=setup.patient_of(score.case)) for score in results.scores]
    if any(ours.patient != was.patient for ours, was in zip(scores, results.scores, strict=True)):
        setup.progress.message(
            f"{folder.path} has pseudonyms of patients by the key of another work folder; "
            f"they are replaced by those of {setup.work.path}"
        )
        write_scores(scores, folder.scores)
        folder.seal_again()
    scored = ScoredCases(scores, {}, [])
    registered = known.get("registered", "")
    return FoldResult(folder, fold, scored, results.facts, known.get("run", ""), registered)
