"""One training: a fold, or all of them and what their held-out cases choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from slicewise.cli.choosing_run import choose_and_show
from slicewise.cli.console import figure, note
from slicewise.cli.fold_run import show_places
from slicewise.cli.fold_training import Outcome, TrainingJob, register, show_outcome, train_fold
from slicewise.cli.initial_model import find_initial, require_same_start
from slicewise.cli.model_folder import (
    checkpoints_in,
    forget_choices,
    make_room_for_folds,
    registered_ensemble,
    remember_ensemble,
    require_free,
    require_free_folds,
)
from slicewise.cli.run_folder import RUN_ID, remember_run, run_id_in
from slicewise.cli.steps import prepared_slices
from slicewise.cli.syncing_run import tidy_up
from slicewise.cli.tables import SET_ASIDE, report_never_found, show_summary
from slicewise.config import FOLD_KINDS, Config, load_config
from slicewise.dataset.splits import Fold, choose_fold, make_folds, no_such_fold
from slicewise.errors import UsageError
from slicewise.evaluation.inference_tuning.inference_file import INFERENCE
from slicewise.evaluation.results import CONFIG, SCORES
from slicewise.evaluation.scores import write_scores
from slicewise.evaluation.statistics import final_metrics, mean_dice, mean_dice_interval, summarize
from slicewise.imaging.files import sha256_of
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.runs import TrackedRun, continue_run, start_run
from slicewise.tracking.store import open_store


def train_folds(
    config: Config,
    chosen: str,
    out: Path,
    work: Path,
    workers: int | None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    initial: str | None = None,
    config_file: Path | None = None,
) -> int:
    """Train one fold into ``out``, or all into ``out/fold-K``; returns the exit code.

    Args:
        config: the experiment.
        chosen: number of a fold, or ``all``.
        out: folder of the model.
        work: place of slice cache, runs and store.
        workers: scans at a time; None takes as many as there are cores.
        resume: go on where the training in ``out`` stopped.
        overwrite: replace a training that lies in ``out``.
        initial: model whose weights the training starts from; None starts at random.
        config_file: that ``config`` was read from; the run keeps it with its comments.

    Raises:
        UsageError: no such fold, or an initial model of several networks.
        OutputError: ``out`` holds something else.
        SlicewiseError: whatever else stops a training.
    """
    if not chosen.isdigit() and chosen != "all":
        raise UsageError(
            f"--fold {chosen}", expected="a number or all", found=chosen, remedy="correct it"
        )
    if chosen == "all":
        require_free_folds(out, resume=resume, overwrite=overwrite)
    else:
        _require_fold(config, int(chosen))
        require_free(out, resume=resume, overwrite=overwrite)
    start = None if initial is None else find_initial(initial, config, work)
    catalogue, prepared = prepared_slices(config, work, workers)
    store = open_store(work, must_answer=False)
    tidy_up(store)
    job = TrainingJob(
        config, catalogue, prepared, store, work, resume, overwrite, start, config_file
    )
    # Over the whole data set: a scan that is set aside must not move the others between folds.
    folds = make_folds(catalogue.labelled, config.data, prepared.structures_ml)
    if chosen == "all":
        outcomes = _train_all(job, folds, out)
    else:
        fold = choose_fold(folds, int(chosen))
        outcomes = [train_fold(job, fold, out)]
        show_outcome(outcomes[0], fold)
    set_aside = [*prepared.set_aside, *(item for o in outcomes for item in o.evaluated.set_aside)]
    return SET_ASIDE if set_aside else 0


def _train_all(job: TrainingJob, folds: Sequence[Fold], out: Path) -> list[Outcome]:
    if job.resume:
        require_same_start(job.initial, (path.parent for path in out.glob("fold-*/last.pt")))
    else:
        make_room_for_folds(out, len(folds))
    # Made anew at the end, with the networks that are there then.
    forget_choices(out)
    outcomes: list[Outcome] = []
    with _parent(job, folds, out) as parent:
        remember_run(job.work, parent.run_id, out, job.config)
        for fold in folds:
            folder = out / f"fold-{fold.number}"
            begun = (folder / "last.pt").exists()
            of_fold = replace(job, resume=job.resume and begun)
            outcomes.append(train_fold(of_fold, fold, folder, parent))
            dice = figure(mean_dice(summarize(outcomes[-1].evaluated.scores)))
            note(f"fold {fold.number} done, {fold.number + 1} of {len(folds)}: Dice {dice}")
        scores = [score for outcome in outcomes for score in outcome.evaluated.scores]
        summaries = summarize(scores)
        write_scores(scores, out / SCORES)
        parent.log_metrics(0, final_metrics(summaries))
        parent.log_artifact(out / SCORES)
        title = f"All cases, out of fold ({folds[0].kind})"
        show_summary(title, summaries, mean_dice_interval(scores))
        report_never_found(summaries)
        choose_and_show(job, folds, out, parent)
        _register_ensemble(outcomes, out, parent)
    return outcomes


def _parent(job: TrainingJob, folds: Sequence[Fold], out: Path) -> TrackedRun:
    """The run over all folds; a resumed training goes on in the one that it began in."""
    if job.resume and (out / RUN_ID).is_file():
        return continue_run(job.store, run_id_in(out))
    tags = {"slicewise.folds": folds[0].kind, "slicewise.kind": "network"}
    run = start_run(job.store, job.config, f"all folds, {job.config.name}", tags=tags)
    job.track_origin(run, folds)
    return run


def _register_ensemble(outcomes: Sequence[Outcome], out: Path, parent: TrackedRun) -> None:
    """Register the networks of all folds as one model, unless that has been done."""
    chosen = out / INFERENCE
    files = ModelFiles(tuple(checkpoints_in(out)), chosen if chosen.is_file() else None)
    every = (*files.members, *([chosen] if chosen.is_file() else []))
    content = {path.relative_to(out).as_posix(): sha256_of(path) for path in every}
    registered = registered_ensemble(out, content)
    if registered is None:
        (first, *_) = outcomes
        config = load_config(first.folder / CONFIG)
        scores = [score for outcome in outcomes for score in outcome.evaluated.scores]
        facts = [outcome.facts for outcome in outcomes]
        registered = register(parent, files, config, facts, scores)
        remember_ensemble(out, content, registered)
    show_places({"model": out, "run": parent.run_id, "registered": registered})


def _require_fold(config: Config, number: int) -> None:
    """Say so before hours of preprocessing; the folds of a split file are counted later."""
    data = config.data
    if data.folds in FOLD_KINDS and number >= data.fold_count:
        raise no_such_fold(number, data.fold_count)
