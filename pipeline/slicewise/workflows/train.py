"""Trains a fold, or all folds and the inference of their ensemble."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.config import FOLD_KINDS, Config
from slicewise.dataset.catalogue import SetAside
from slicewise.dataset.splits import choose_fold, make_folds, no_such_fold
from slicewise.dataset.work_folder import WorkFolder, require_outside
from slicewise.errors import UsageError
from slicewise.evaluation.inference_tuning.tuning import TunedInference
from slicewise.evaluation.scores import Score, scores_table
from slicewise.evaluation.statistics import (
    Distribution,
    StructureSummary,
    mean_dice_interval,
    summarize,
)
from slicewise.evaluation.summary_table import summary_table
from slicewise.imaging.locking import require_unheld
from slicewise.interruption import SignalReceived, interruptible
from slicewise.progress import SILENT, Progress
from slicewise.segmentation.process_group import (
    ProcessGroup,
    is_follower,
    is_from_torchrun,
    open_group,
)
from slicewise.segmentation.resuming import require_saved
from slicewise.tracking.overwriting import (
    claim_training,
    require_free,
    require_free_folds,
    training_target,
)
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.spool.syncing import tidy_up
from slicewise.tracking.store import open_store
from slicewise.workflows.initial_model import InitialModel, find_initial_model
from slicewise.workflows.parallel.engines import engine_of
from slicewise.workflows.parallel.side_by_side import Engine
from slicewise.workflows.prepare import PrepareOptions, prepare
from slicewise.workflows.take_part import take_part
from slicewise.workflows.train_all import train_all
from slicewise.workflows.train_fold import FoldResult, TrainingSetup, train_fold

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainOptions:
    """What to train.

    Attributes:
        config: the experiment.
        fold: number of the fold that is held out; None trains all of them.
        out: folder of the model; None takes one below the work folder. All folds go into the
            folders ``fold-0``, ``fold-1``, ... below it.
        work: folder of slice cache, private records and tracking store.
        workers: scans at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
        resume: continue the training that lies in ``out``.
        overwrite: replace a training that lies in ``out``.
        initial: model whose weights the training starts from; None starts at random.
        config_file: that ``config`` was read from; the tracked run keeps it with its comments.
        devices: number of processes of this machine that train each fold together, one a GPU, or,
            without GPUs, each with its share of the cores; None takes one.
        parallel: folds that are trained at the same time, each in a process of its own; None
            trains one after the other in this process.
    """

    config: Config
    fold: int | None = 0
    out: Path | None = None
    work: Path = Path("work")
    workers: int | str | None = None
    resume: bool = False
    overwrite: bool = False
    initial: str | None = None
    config_file: Path | None = None
    devices: int | None = None
    parallel: int | None = None

    @property
    def folder(self) -> RunFolder:
        """Where the model goes."""
        if self.out is not None:
            return RunFolder(self.out)
        whole = RunFolder(self.work / "runs" / self.config.name)
        return whole if self.fold is None else whole.fold(self.fold)


@dataclass(frozen=True)
class TrainingResult:
    """A training that came to its end.

    Attributes:
        folder: the model, which ``load_model`` and ``predict`` take.
        folds: one result a fold that was trained.
        run_id: of the tracked run; of several folds that of the run over all of them.
        registered: version and alias of the registered model; empty for a fold of several, which
            are registered together.
        tuning: the inference that held-out cases of all folds chose; None where nothing was tuned.
        set_aside: scans that could not be used.
    """

    folder: Path
    folds: tuple[FoldResult, ...]
    run_id: str
    registered: str
    tuning: TunedInference | None
    set_aside: tuple[SetAside, ...]

    @property
    def rows(self) -> list[Score]:
        """A score a held-out case and structure."""
        return [score for fold in self.folds for score in fold.scored.scores]

    @property
    def scores(self) -> pd.DataFrame:
        """One row per held-out case and structure, with the columns of ``scores.csv``."""
        return scores_table(self.rows)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per structure: means over the held-out cases, 95 % intervals, counts."""
        return summary_table(self.summaries)

    @property
    def examples(self) -> Path:
        """Picture of held-out cases of the first fold, from the worst to the best."""
        return self.folds[0].folder.examples

    @cached_property
    def summaries(self) -> list[StructureSummary]:
        """A summary a structure, over the held-out cases of all folds that were trained."""
        return summarize(self.rows)

    @cached_property
    def mean_dice(self) -> Distribution:
        """Mean Dice over the structures, with its 95 % interval."""
        return mean_dice_interval(self.rows)


@interruptible()
def train(options: TrainOptions, progress: Progress = SILENT) -> TrainingResult:
    """Train, score the held-out patients on their own grids, track the run, register the model.

    Of several processes that torchrun has started, the first one does so; the others take part in
    what it leaves to them, and return its result.

    Raises:
        ConfigError: no structure is named.
        UsageError: no such fold, or an initial model of several networks.
        OutputError: ``out`` holds something else, or belongs to another process.
        InterruptedBySignal: a signal came; what is finished is kept.
        SlicewiseError: whatever else stops a training; see the rooms below.
    """
    if is_follower():
        return take_part()
    config, folder = options.config, options.folder
    config.require_structures()
    may = {"resume": options.resume, "overwrite": options.overwrite}
    if options.resume and options.overwrite:
        raise UsageError(
            "`resume` and `overwrite`",
            expected="one of the two",
            found="both",
            remedy="continue the training with `resume`, or replace it with `overwrite`",
        )
    if config.data.root is not None:
        require_outside(config.data.root, {"out": folder.path, "work": options.work})
    claim_training(training_target(_inputs(options), **may), folder)
    engine = _engine(options, progress)
    for place in (folder.path, *folder.path.glob("fold-*")):
        require_unheld(place)
    if options.fold is None:
        require_free_folds(folder, **may)
    else:
        require_fold(config, options.fold)
        require_free(folder, **may)
        if options.resume:
            require_saved(folder.path)
    initial = None
    if options.initial is not None:
        initial = find_initial_model(options.initial, config, options.work)
    with open_group(options.devices, config.training) as group:
        result = _train(options, initial, group, engine, progress)
        group.finish(result)
    return result


def _train(
    options: TrainOptions,
    initial: InitialModel | None,
    group: ProcessGroup,
    engine: Engine | None,
    progress: Progress,
) -> TrainingResult:
    """What follows when everything that was given is known to be usable."""
    config, folder = options.config, options.folder
    data = prepare(PrepareOptions(config, options.work, options.workers), progress)
    store = open_store(options.work, must_answer=False)
    tidy_up(store, progress)
    setup = TrainingSetup(
        config,
        data,
        store,
        WorkFolder(options.work),
        options.resume,
        options.overwrite,
        progress,
        initial,
        options.config_file,
        group,
    )
    # Over the whole data set: a scan that is set aside must not move the others between folds.
    folds = make_folds(data.catalogue.labelled, config.data, data.prepared.structures_ml)
    with _resumable(folder):
        if options.fold is None:
            all_folds = train_all(setup, folds, folder, engine)
            return TrainingResult(
                folder.path,
                all_folds.results,
                all_folds.run_id,
                all_folds.registered,
                all_folds.tuning,
                all_folds.set_aside,
            )
        whole = folder.whole(options.fold)
        parent = whole.run_id() if whole else None
        result = train_fold(setup, choose_fold(folds, options.fold), folder, parent)
    set_aside = (*data.set_aside, *result.scored.set_aside)
    return TrainingResult(folder.path, (result,), result.run_id, result.registered, None, set_aside)


@contextmanager
def _resumable(folder: RunFolder) -> Iterator[None]:
    """Say how a training goes on that a signal ends after its steps, or between its folds."""
    try:
        yield
    except SignalReceived as received:
        if folder.network is not None:
            received.go_on_with(folder.path, "what is finished is kept; continue with `resume`")
        raise


def _inputs(options: TrainOptions) -> list[Path]:
    """What is read, as far as it is known before the data set is searched."""
    named = (options.config.data.root, options.config_file)
    return [path for path in named if path is not None]


def _engine(options: TrainOptions, progress: Progress) -> Engine | None:
    """Where several folds are trained side by side, if that is asked for."""
    data, parallel = options.config.data, options.parallel
    if parallel is not None and options.fold is not None:
        raise UsageError(
            f"`parallel` {parallel}",
            expected="several folds: `fold` all",
            found=f"fold {options.fold} alone",
            remedy="give `fold` all, or leave `parallel` out",
        )
    if parallel is not None and (options.devices is not None or is_from_torchrun()):
        raise UsageError(
            f"`parallel` {parallel}",
            expected="folds that are trained by one process each",
            found=f"`devices` {options.devices}" if options.devices else "torchrun",
            remedy="leave one of the two out",
        )
    # The folds of a split file are counted later.
    total = data.fold_count if data.folds in FOLD_KINDS else None
    return engine_of([options.config], parallel, "folds", total, options.workers, progress)


def require_fold(config: Config, number: int) -> None:
    """Refuse a fold that does not exist, before hours of preprocessing.

    The folds of a split file are counted later.

    Raises:
        UsageError: no such fold.
    """
    data = config.data
    if data.folds in FOLD_KINDS and not 0 <= number < data.fold_count:
        raise no_such_fold(number, data.fold_count)
