"""One fold of a training, from slices to a scored, tracked and registered model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from slicewise.cli.console import figure, note, progress_bar
from slicewise.cli.fold_run import PICTURE, FoldCases, show_places, track_results
from slicewise.cli.initial_model import InitialModel, initial_facts, remember_initial
from slicewise.cli.model_folder import FINISHED, finish, kept_checkpoint, make_room, require_free
from slicewise.cli.run_folder import RUN_ID, remember_run
from slicewise.cli.scanning import pseudonyms_of
from slicewise.cli.steps import Evaluated, predict_and_score, shown_patient
from slicewise.cli.tables import report_never_found, report_set_aside, show_summary
from slicewise.cli.training_observer import Observer
from slicewise.config import Config, as_yaml, text_without_places, without_places
from slicewise.dataset.cache import Prepared
from slicewise.dataset.catalogue import Catalogue
from slicewise.dataset.splits import Fold
from slicewise.evaluation.inference_tuning.evidence import write_evidence
from slicewise.evaluation.inference_tuning.evidence_collector import EvidenceCollector
from slicewise.evaluation.inference_tuning.options import is_decided
from slicewise.evaluation.results import (
    CONFIG,
    HISTORY,
    LOSSES,
    MASKS,
    SCORES,
    RunFacts,
    read_results,
    write_losses,
    write_results,
)
from slicewise.evaluation.scores import Score, write_scores
from slicewise.evaluation.statistics import mean_dice, mean_dice_interval, summarize
from slicewise.imaging.files import write_text
from slicewise.imaging.pseudonyms import Pseudonyms
from slicewise.segmentation.budget import plan_run
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.resuming import resume_training, sole_user
from slicewise.segmentation.training import Training
from slicewise.tracking.model_card import model_card
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.runs import TrackedRun, continue_run, start_run
from slicewise.tracking.store import Store

GIVEN, SPLIT = "given.yaml", "split.json"
"""Of a tracked run: the configuration with its comments, and which cases were on which side."""


@dataclass(frozen=True)
class TrainingJob:
    """What the folds of one training share.

    Attributes:
        config: as it was given.
        catalogue: where the scans lie.
        prepared: their slices.
        store: where runs and models are tracked.
        work: where private things lie, such as the key of the pseudonyms.
        resume: go on with what lies in the folder of a fold.
        overwrite: replace what lies there.
        initial: what a training starts from; None starts at random.
        config_file: that ``config`` was read from; None where there is no file.
    """

    config: Config
    catalogue: Catalogue
    prepared: Prepared
    store: Store
    work: Path
    resume: bool
    overwrite: bool
    initial: InitialModel | None = None
    config_file: Path | None = None

    def track_origin(self, run: TrackedRun, folds: Sequence[Fold]) -> None:
        """Log the configuration as it was written, and the folds as ``data.folds`` takes them."""
        if self.config_file is not None:
            run.log_text(text_without_places(self.config_file, self.config), GIVEN)
        run.log_json([{"train": fold.train, "val": fold.val} for fold in folds], SPLIT)

    def patient_of(self, case: str) -> str:
        """Whose a case is, as results may say it.

        Folds that were trained with another work folder name patients by another key: those of
        one patient would count as two.
        """
        return shown_patient(self.catalogue.case(case), self.pseudonyms)

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        """By the key of the work folder."""
        return pseudonyms_of(self.work)


@dataclass(frozen=True)
class Outcome:
    """What a fold left behind.

    Attributes:
        folder: checkpoints, configuration, masks, scores, picture.
        evaluated: of the held-out cases.
        facts: about the fold.
        run_id: of the tracked run.
        registered: version and alias of the registered model; empty for a fold of several.
    """

    folder: Path
    evaluated: Evaluated
    facts: RunFacts
    run_id: str
    registered: str


def train_fold(
    job: TrainingJob, fold: Fold, out: Path, parent: TrackedRun | None = None
) -> Outcome:
    """Train one fold, score its held-out cases, track and register it.

    Raises:
        OutputError: ``out`` holds another training, or belongs to another process.
        TrainingError, InterruptedBySignal, CheckpointError: see ``Training`` and resuming.
    """
    config, cases = job.config, FoldCases(fold, job.catalogue, job.prepared)
    with sole_user(out):
        require_free(out, resume=job.resume, overwrite=job.overwrite)
        if not job.resume:
            make_room(out)
        remember_initial(job.initial, out, resume=job.resume)
        cases.announce()
        training = _training(job, cases, out)
        if job.resume and (out / FINISHED).is_file():
            note(f"{out} came to its end already")
            return _finished(job, out)
        with _tracked(job, training.config, fold, out, parent) as run:
            cases.track(run, config.name)
            _run(training, out, run)
            evaluated = predict_held_out(job, cases, out)
            report_set_aside(evaluated.set_aside)
            results = cases.facts(config, "network", evaluated, training.progress.seconds)
            write_results(out, results, evaluated.scores, evaluated.reliability)
            step = training.progress.step
            track_results(run, step, training.config, cases, evaluated, out, (HISTORY, LOSSES))
            checkpoint = kept_checkpoint(out, config)
            run.log_checkpoint(checkpoint)
            facts = {"run": run.run_id, **initial_facts(out)}
            # Folds of a cross-validation are registered together, by the run over all of them.
            if parent is None:
                files = ModelFiles((checkpoint,))
                facts["registered"] = register(
                    run, files, training.config, [results], evaluated.scores
                )
            finish(out, training.config, facts)
    return Outcome(out, evaluated, results, run.run_id, facts.get("registered", ""))


def predict_held_out(job: TrainingJob, cases: FoldCases, out: Path) -> Evaluated:
    """Predict and score what a fold holds out; leave masks and evidence in its folder."""
    predictor = Predictor.from_checkpoint(kept_checkpoint(out, job.config))
    gatherer = None
    if not is_decided(job.config.inference):
        gatherer = EvidenceCollector(predictor, cases.fold.number)
    evaluated = predict_and_score(predictor, cases.held_out, out / MASKS, job.pseudonyms, gatherer)
    if gatherer is not None:
        write_evidence(out, evaluated.evidence)
    return evaluated


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
        files: its networks, and what held-out cases chose.
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


def show_outcome(outcome: Outcome, fold: Fold) -> None:
    """Print scores and the places of the files."""
    scores = outcome.evaluated.scores
    title = f"Held-out cases of fold {fold.number} ({fold.kind})"
    summaries = summarize(scores)
    show_summary(title, summaries, mean_dice_interval(scores))
    report_never_found(summaries)
    show_places(
        {
            "model": outcome.folder,
            "masks": outcome.folder / MASKS,
            "scores": outcome.folder / SCORES,
            "picture": outcome.folder / PICTURE,
            "run": outcome.run_id,
            "registered": outcome.registered,
        }
    )


def _training(job: TrainingJob, cases: FoldCases, out: Path) -> Training:
    config, fold = job.config, cases.fold
    train, val = cases.train, cases.val
    if job.resume:
        training = resume_training(config, train, val, str(fold.number), out)
        steps = training.config.training.steps
        note(f"going on at step {training.progress.step} of the {steps} that the start decided")
        return training
    note("measuring a few steps ...")
    plan = plan_run(config, train, val)
    slices_per_second = config.training.batch_size / plan.step_seconds
    note(
        f"{plan.config.training.steps} steps of {config.training.batch_size} slices, "
        f"{slices_per_second:.0f} slices/s, about {plan.minutes:.1f} minutes, "
        f"{plan.config.training.precision}"
    )
    write_text(out / CONFIG, as_yaml(without_places(plan.config)))
    if job.initial is None:
        return Training(plan.config, train, val, str(fold.number))
    job.initial.announce([case.name for case in val])
    return Training(plan.config, train, val, str(fold.number), initial=job.initial.checkpoint)


def _run(training: Training, out: Path, run: TrackedRun) -> None:
    steps = training.config.training.steps
    with progress_bar() as bar:
        task = bar.add_task("training", total=steps, completed=training.progress.step, detail="")
        progress = training.run(out, Observer(bar, task, run))
    write_losses(out / LOSSES, progress.losses)
    share = progress.data_seconds / max(progress.step_seconds, 1e-9)
    note(
        f"trained {progress.step} steps in {progress.seconds / 60:.1f} min with validation; "
        f"data took {share:.1%} of a step"
    )
    times = {"train.seconds": progress.seconds, "train.data_share_of_step": share}
    logging = {
        "tracking.seconds": run.logging_seconds,
        "tracking.share": run.logging_seconds / max(progress.seconds, 1e-9),
    }
    run.log_metrics(progress.step, times | logging)


def _tracked(
    job: TrainingJob, config: Config, fold: Fold, out: Path, parent: TrackedRun | None
) -> TrackedRun:
    """The run of a training; a resumed training goes on in the run that it began in."""
    file = out / RUN_ID
    if job.resume and file.is_file():
        run = continue_run(job.store, json.loads(file.read_text())["run_id"])
    else:
        name = f"fold {fold.number}, {config.name}"
        tags = {"slicewise.folds": fold.kind, "slicewise.kind": "network"}
        tags |= {f"slicewise.{key}": value for key, value in initial_facts(out).items()}
        run = start_run(job.store, config, name, fold=fold.number, tags=tags, parent=parent)
        job.track_origin(run, [fold])
    # Folder and data set may have moved since a training began.
    remember_run(job.work, run.run_id, out, job.config)
    return run


def _finished(job: TrainingJob, out: Path) -> Outcome:
    facts = json.loads((out / FINISHED).read_text())
    (results,) = read_results(out)
    assert results.facts is not None
    scores = [replace(score, patient=job.patient_of(score.case)) for score in results.scores]
    if any(ours.patient != was.patient for ours, was in zip(scores, results.scores, strict=True)):
        note(f"{out} names patients by the key of another work folder; now by that of {job.work}")
        write_scores(scores, out / SCORES)
    evaluated = Evaluated(scores, {}, [])
    return Outcome(out, evaluated, results.facts, facts["run"], facts.get("registered", ""))
