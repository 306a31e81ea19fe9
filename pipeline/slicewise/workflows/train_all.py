"""Trains all folds, one after the other or side by side, tunes and registers their ensemble."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from slicewise.config import Config
from slicewise.dataset.catalogue import SetAside
from slicewise.dataset.splits import Fold
from slicewise.dataset.work_folder import WorkFolder
from slicewise.errors import TrainingError
from slicewise.evaluation.inference_tuning.tuning import TunedInference
from slicewise.evaluation.scores import write_scores
from slicewise.evaluation.statistics import final_metrics, mean_dice, summarize
from slicewise.imaging.files import sha256_of
from slicewise.imaging.locking import sole_user
from slicewise.imaging.own_files import CHECKSUMS
from slicewise.interruption import SECONDS_TO_SAVE
from slicewise.progress import Progress
from slicewise.quantities import counted, figure
from slicewise.tracking.overwriting import clear_folds, clear_inference_tuning
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.run_index import remember_run
from slicewise.tracking.runs import TrackedRun, continue_run, start_run
from slicewise.tracking.store import open_store
from slicewise.workflows.initial_model import InitialModel, require_same_start
from slicewise.workflows.parallel.side_by_side import Engine, failed, side_by_side
from slicewise.workflows.prepare import PreparedData
from slicewise.workflows.train_fold import FoldResult, TrainingSetup, register, train_fold
from slicewise.workflows.tune_ensemble import tune_ensemble


@dataclass(frozen=True)
class AllFolds:
    """All folds of a training.

    Attributes:
        results: one a fold, in their order.
        run_id: of the run over all folds.
        registered: version and alias of the ensemble.
        tuning: the inference that held-out cases chose; None where nothing was tuned.
        set_aside: scans that could not be used.
    """

    results: tuple[FoldResult, ...]
    run_id: str
    registered: str
    tuning: TunedInference | None
    set_aside: tuple[SetAside, ...]


def train_all(
    setup: TrainingSetup, folds: Sequence[Fold], folder: RunFolder, engine: Engine | None
) -> AllFolds:
    """Train all folds, tune the inference of their ensemble and register it.

    Args:
        setup: what the folds share.
        folds: to be trained.
        folder: holds a folder for each of them.
        engine: trains them side by side; None trains one after the other in this process.

    Raises:
        TrainingError: folds that were trained side by side did not all come to their end.
        SlicewiseError: see ``train_fold``.
    """
    if setup.resume:
        require_same_start(setup.initial, folder.folds)
    else:
        clear_folds(folder, len(folds))
    # Tuned again at the end, with the networks that are there then.
    clear_inference_tuning(folder)
    with sole_user(folder.path), _parent(setup, folds, folder) as parent:
        remember_run(setup.work.path, parent.run_id, folder, setup.config)
        for fold in folds:
            own = folder.fold(fold.number)
            if setup.resume and own.path.exists() and not own.has_training:
                setup.progress.message(f"{own.path}: nothing was saved yet, starting again")
        done = (
            _one_by_one(setup, folds, folder, parent)
            if engine is None
            else _side_by_side(setup, folds, folder, parent, engine)
        )
        found: dict[int, FoldResult] = {}
        with closing(done):
            for result in done:
                number = result.fold.number
                found[number] = result
                dice = mean_dice(summarize(result.scored.scores))
                setup.progress.message(
                    f"fold {number} done, {len(found)} of {len(folds)}: Dice {figure(dice)}"
                )
        results = tuple(found[fold.number] for fold in folds)
        scores = [score for result in results for score in result.scored.scores]
        write_scores(scores, folder.scores)
        folder.seal()
        parent.log_metrics(0, final_metrics(summarize(scores)))
        for path in (folder.scores, folder.path / CHECKSUMS):
            parent.log_artifact(path)
        tuning = tune_ensemble(setup, folds, folder, parent)
        folder.seal()
        registered = _register_ensemble(results, folder, parent)
    lost = (*setup.data.set_aside, *(item for one in results for item in one.scored.set_aside))
    return AllFolds(results, parent.run_id, registered, tuning, lost)


def _parent(setup: TrainingSetup, folds: Sequence[Fold], folder: RunFolder) -> TrackedRun:
    """The run over all folds; a resumed training continues the one that it began in."""
    if setup.resume and folder.has_run:
        return continue_run(setup.store, folder.run_id())
    tags = {"slicewise.folds": folds[0].kind, "slicewise.kind": "network"}
    run = start_run(setup.store, setup.config, f"all folds, {setup.config.name}", tags=tags)
    setup.log_origin(run, folds)
    return run


def _one_by_one(
    setup: TrainingSetup, folds: Sequence[Fold], folder: RunFolder, parent: TrackedRun
) -> Generator[FoldResult]:
    for fold in folds:
        own = folder.fold(fold.number)
        of_fold = replace(setup, resume=setup.resume and own.has_training)
        yield train_fold(of_fold, fold, own, parent.run_id)


@dataclass(frozen=True)
class _Task:
    """What another process needs to train a fold; see ``TrainingSetup``."""

    config: Config
    data: PreparedData
    work: Path
    overwrite: bool
    initial: InitialModel | None
    config_file: Path | None
    fold: Fold
    folder: RunFolder
    parent: str


def _side_by_side(
    setup: TrainingSetup,
    folds: Sequence[Fold],
    folder: RunFolder,
    parent: TrackedRun,
    engine: Engine,
) -> Generator[FoldResult]:
    finished = [fold for fold in folds if setup.resume and folder.fold(fold.number).is_finished]
    yield from _one_by_one(setup, finished, folder, parent)
    missing = {f"fold {fold.number}": fold for fold in folds if fold not in finished}
    tasks = {
        name: _Task(
            setup.config,
            setup.data,
            setup.work.path,
            setup.overwrite,
            setup.initial,
            setup.config_file,
            fold,
            folder.fold(fold.number),
            parent.run_id,
        )
        for name, fold in missing.items()
    }
    failures: dict[Fold, Exception] = {}
    works = side_by_side(engine, _train, tasks.items(), setup.progress, "folds", len(tasks))
    with closing(works) as done:
        for name, result in done:
            if isinstance(result, Exception):
                failures[missing[name]] = result
            else:
                yield result
    if failures:
        raise _incomplete(failures, folder, len(folds))


def _train(task: _Task, progress: Progress) -> FoldResult:
    """Train a fold in a process of its own.

    What lies in its folder was begun by this training: anything else has been removed, or is to be
    continued.
    """
    # Where a worker of a cluster was lost, its process may still be saving its state.
    with sole_user(task.folder.path, wait_seconds=SECONDS_TO_SAVE):
        pass
    setup = TrainingSetup(
        task.config,
        task.data,
        open_store(task.work, must_answer=False),
        WorkFolder(task.work),
        task.folder.has_training,
        task.overwrite,
        progress,
        task.initial,
        task.config_file,
    )
    result = train_fold(setup, task.fold, task.folder, task.parent)
    # Both lie in its folder, and may be large.
    return replace(result, scored=replace(result.scored, evidence=[], measurements={}))


def _incomplete(failures: dict[Fold, Exception], folder: RunFolder, count: int) -> TrainingError:
    """Which folds did not come to their end, why, and how they go on."""
    first = min(fold.number for fold in failures)
    own = folder.fold(first)
    resume = " `resume`" if own.has_training else ""
    return failed(
        folder.path,
        {f"fold {fold.number}": error for fold, error in failures.items()},
        expected=counted(count, "trained fold"),
        remedy=f"continue what is missing with `fold` all `out` {folder.path} `resume`; "
        f"one alone with `fold` {first} `out` {own.path}{resume}",
    )


def _register_ensemble(results: Sequence[FoldResult], folder: RunFolder, parent: TrackedRun) -> str:
    """Register the networks of all folds as one model, unless that has been done."""
    files = folder.model_files()
    every = (*files.members, *([files.inference] if files.inference else []))
    content = {path.relative_to(folder.path).as_posix(): sha256_of(path) for path in every}
    registered = folder.registered_ensemble(content)
    if registered is None:
        config = results[0].folder.read_config()
        scores = [score for result in results for score in result.scored.scores]
        registered = register(parent, files, config, [one.facts for one in results], scores)
        folder.write_ensemble(content, registered)
    folder.seal()
    return registered
