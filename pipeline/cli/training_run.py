"""One training from slices to a scored, tracked and registered model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress as ProgressBar
from rich.progress import TaskID

from pipeline.cli.console import figure, note, output, progress_bar
from pipeline.cli.steps import (
    Evaluated,
    kept_checkpoint,
    predict_and_score,
    prepared_slices,
)
from pipeline.cli.tables import SET_ASIDE, report_set_aside, show_summary
from pipeline.config import Config, as_yaml, without_places
from pipeline.dataset.cache import CachedCase, Prepared
from pipeline.dataset.catalogue import Case, Catalogue
from pipeline.dataset.splits import Fold, choose_fold, make_folds, shared_patients
from pipeline.errors import OutputError, UsageError
from pipeline.evaluation.scores import Score, mean_dice, summarize, write_scores
from pipeline.imaging.files import write_text
from pipeline.reporting.pictures import draw_examples
from pipeline.segmentation.budget import plan_run
from pipeline.segmentation.inference import Predictor
from pipeline.segmentation.resuming import resume_training, sole_user
from pipeline.segmentation.training import Training
from pipeline.segmentation.validation import ValidationScore
from pipeline.tracking.registry import RegisteredVersion, register_model
from pipeline.tracking.runs import TrackedRun, continue_run, start_run
from pipeline.tracking.store import Store, open_store

_STEPS_BETWEEN_METRICS = 20


@dataclass(frozen=True)
class Outcome:
    """What a fold left behind.

    Attributes:
        folder: checkpoints, configuration, masks, scores, picture.
        evaluated: of the held-out cases.
        run_id: of the tracked run.
        version: of the registered model.
    """

    folder: Path
    evaluated: Evaluated
    run_id: str
    version: RegisteredVersion


class Observer:
    """Shows a training on a bar and writes it to the tracked run."""

    def __init__(self, bar: ProgressBar, task: TaskID, run: TrackedRun) -> None:
        self._bar, self._task, self._run = bar, task, run
        self._dice = ""

    def on_step(self, step: int, values: dict[str, float]) -> None:
        """Move the bar; log now and then."""
        self._bar.update(
            self._task, completed=step, detail=f"loss {values['loss']:.3f}{self._dice}"
        )
        if step % _STEPS_BETWEEN_METRICS == 0:
            self._run.log_metrics(step, {f"train.{name}": value for name, value in values.items()})

    def on_validation(self, step: int, score: ValidationScore) -> None:
        """Print and log the Dice of each structure."""
        self._dice = f", Dice {score.mean:.3f}"
        parts = ", ".join(f"{name} {value:.4f}" for name, value in score.dice.items())
        note(f"step {step}: validation Dice {score.mean:.4f} ({parts})")
        dice = {f"validation.dice.{name}": value for name, value in score.dice.items()}
        self._run.log_metrics(step, {"validation.dice": score.mean, **dice})


def train_folds(
    config: Config,
    chosen: str,
    out: Path,
    work: Path,
    workers: int | None,
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> int:
    """Train one fold into ``out``, or all into ``out/fold-K``; returns the exit code."""
    if not chosen.isdigit() and chosen != "all":
        raise UsageError(
            f"--fold {chosen}", expected="a number or all", found=chosen, remedy="correct it"
        )
    catalogue, prepared = prepared_slices(config, work, workers)
    usable = [catalogue.case(case.name) for case in prepared.cases]
    folds = make_folds(usable, config.data)
    store = open_store(work)
    if chosen == "all":
        scores = _train_all(config, folds, out, store, (catalogue, prepared), resume, overwrite)
    else:
        fold = choose_fold(folds, int(chosen))
        outcome = train_fold(
            config, fold, out, store, (catalogue, prepared), resume=resume, overwrite=overwrite
        )
        show_outcome(outcome, fold)
        scores = outcome.evaluated.scores
        prepared = Prepared(prepared.cases, (*prepared.set_aside, *outcome.evaluated.set_aside))
    return SET_ASIDE if prepared.set_aside or not scores else 0


def train_fold(
    config: Config,
    fold: Fold,
    out: Path,
    store: Store,
    data: tuple[Catalogue, Prepared],
    *,
    resume: bool = False,
    overwrite: bool = False,
    parent: TrackedRun | None = None,
) -> Outcome:
    """Train one fold, score its held-out cases, track and register it.

    Raises:
        OutputError: ``out`` holds another training, or belongs to another process.
        TrainingError, InterruptedBySignal, CheckpointError: see ``Training`` and resuming.
    """
    catalogue, prepared = data
    with sole_user(out):
        _require_free(out, resume=resume, overwrite=overwrite)
        training = _training(config, fold, prepared, out, resume=resume)
        _announce_fold(fold, [catalogue.case(name) for name in (*fold.train, *fold.val)])
        with _tracked(store, training.config, out, fold, resume=resume, parent=parent) as run:
            run.log_cases("training", _keys(training.train_cases), config.name)
            run.log_cases("validation", _keys(training.val_cases), config.name)
            _run(training, out, run)
            checkpoint = kept_checkpoint(out, config)
            evaluated = predict_and_score(
                Predictor.from_checkpoint(checkpoint),
                [catalogue.case(case.name) for case in training.val_cases],
                out / "masks",
            )
            report_set_aside(evaluated.set_aside)
            _keep_results(training, evaluated, out, run)
            version = register_model(
                run,
                checkpoint,
                config.model_name,
                contrasts=config.data.contrasts,
                tags=_facts(evaluated.scores, fold),
            )
    return Outcome(out, evaluated, run.run_id, version)


def show_outcome(outcome: Outcome, fold: Fold) -> None:
    """Print scores and the places of the files."""
    summaries = summarize(outcome.evaluated.scores)
    show_summary(f"Held-out cases of fold {fold.number} ({fold.kind})", summaries)
    lines = {
        "model": outcome.folder,
        "masks": outcome.folder / "masks",
        "scores": outcome.folder / "scores.csv",
        "picture": outcome.folder / "examples.png",
        "run": outcome.run_id,
        "registered": f"{outcome.version.uri} ({outcome.version.alias})",
    }
    for name, place in lines.items():
        output.print(f"{name:>10}: {place}", markup=False, soft_wrap=True)


def _train_all(
    config: Config,
    folds: Sequence[Fold],
    out: Path,
    store: Store,
    data: tuple[Catalogue, Prepared],
    resume: bool,
    overwrite: bool,
) -> list[Score]:
    scores: list[Score] = []
    with start_run(store, config, f"{config.name} all folds") as parent:
        for fold in folds:
            folder = out / f"fold-{fold.number}"
            outcome = train_fold(
                config,
                fold,
                folder,
                store,
                data,
                resume=resume and (folder / "last.pt").exists(),
                overwrite=overwrite,
                parent=parent,
            )
            scores += outcome.evaluated.scores
            note(f"fold {fold.number}: {figure(mean_dice(summarize(outcome.evaluated.scores)))}")
        summaries = summarize(scores)
        write_scores(scores, out / "scores.csv")
        parent.log_metrics(0, {"dice": mean_dice(summaries)})
        parent.log_artifact(out / "scores.csv")
    show_summary(f"All cases, out of fold ({folds[0].kind})", summaries)
    return scores


def _training(
    config: Config, fold: Fold, prepared: Prepared, out: Path, *, resume: bool
) -> Training:
    train, val = prepared.chosen(fold.train), prepared.chosen(fold.val)
    if resume:
        return resume_training(config, train, val, str(fold.number), out)
    note("measuring a few steps ...")
    plan = plan_run(config, train, val)
    slices_per_second = config.training.batch_size / plan.step_seconds
    note(
        f"{plan.config.training.steps} steps of {config.training.batch_size} slices, "
        f"{slices_per_second:.0f} slices/s, about {plan.minutes:.1f} minutes, "
        f"{plan.config.training.precision}"
    )
    write_text(out / "config.yaml", as_yaml(without_places(plan.config)))
    return Training(plan.config, train, val, str(fold.number))


def _run(training: Training, out: Path, run: TrackedRun) -> None:
    steps = training.config.training.steps
    with progress_bar() as bar:
        task = bar.add_task("training", total=steps, completed=training.progress.step, detail="")
        progress = training.run(out, Observer(bar, task, run))
    seconds = max(progress.seconds, 1e-9)
    waiting = progress.data_seconds / seconds
    note(f"trained {progress.step} steps in {seconds / 60:.1f} min, {waiting:.1%} of it for data")
    run.log_metrics(
        progress.step, {"train.seconds": seconds, "train.data_seconds": progress.data_seconds}
    )


def _tracked(
    store: Store,
    config: Config,
    out: Path,
    fold: Fold,
    *,
    resume: bool,
    parent: TrackedRun | None,
) -> TrackedRun:
    """The run of a training; a resumed training goes on in the run that it began in."""
    file = out / "run.json"
    if resume and file.is_file():
        return continue_run(store, json.loads(file.read_text())["run_id"])
    name = f"{config.name} fold {fold.number}"
    run = start_run(
        store, config, name, fold=fold.number, tags={"slicewise.folds": fold.kind}, parent=parent
    )
    write_text(file, json.dumps({"run_id": run.run_id}))
    return run


def _keep_results(training: Training, evaluated: Evaluated, out: Path, run: TrackedRun) -> None:
    config, fold = training.config, training.fold
    write_scores(evaluated.scores, out / "scores.csv")
    summaries = summarize(evaluated.scores)
    final = {f"dice.{item.structure}": item.mean_dice for item in summaries}
    final |= {f"iou.{item.structure}": item.mean_iou for item in summaries}
    run.log_metrics(training.progress.step, {"dice": mean_dice(summaries), **final})
    if evaluated.examples:
        note_line = f"{config.name}, fold {fold}: held-out cases from the worst to the best"
        draw_examples(evaluated.examples, config.data.labels, out / "examples.png", note_line)
        run.log_figure(out / "examples.png")
    for name in ("config.yaml", "scores.csv", "history.jsonl"):
        run.log_artifact(out / name)
    run.log_checkpoint(kept_checkpoint(out, config))


def _keys(cases: Sequence[CachedCase]) -> dict[str, str]:
    return {case.name: case.key for case in cases}


def _facts(scores: Sequence[Score], fold: Fold) -> dict[str, str]:
    dice = mean_dice(summarize(scores))
    return {"dice": figure(dice), "fold": str(fold.number), "folds": fold.kind}


def _announce_fold(fold: Fold, cases: Sequence[Case]) -> None:
    shared = shared_patients(fold, cases)
    text = f"fold {fold.number} ({fold.kind}): {len(fold.train)} training, {len(fold.val)} held out"
    if shared:
        text += f"; {len(shared)} patients on both sides, so the score flatters"
    note(text)


def _require_free(out: Path, *, resume: bool, overwrite: bool) -> None:
    if resume or not (out / "last.pt").exists():
        return
    if not overwrite:
        raise OutputError(
            out,
            expected="a folder without a training",
            found="last.pt of an earlier training",
            remedy="go on with --resume, replace it with --overwrite, or choose another --out",
        )
    for name in ("last.pt", "best.pt", "run.json", "history.jsonl", "scores.csv"):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / "masks", ignore_errors=True)
