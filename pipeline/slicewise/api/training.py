"""Plans a training, prepares its slices, and trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from slicewise.api.configs import AnyPath, ConfigLike, as_config, file_of, optional_path
from slicewise.progress import SILENT, Progress
from slicewise.workflows import plan as planning
from slicewise.workflows import prepare as preparing
from slicewise.workflows import train as training
from slicewise.workflows.plan import PlanResult
from slicewise.workflows.prepare import PreparedData
from slicewise.workflows.train import TrainingResult


def plan(
    data: AnyPath,
    out: AnyPath,
    *,
    budget_minutes: float | None = None,
    settings: Sequence[str] = (),
    name: str | None = None,
    overwrite: bool = False,
    work: AnyPath = "work",
    workers: int | str | None = None,
    progress: Progress = SILENT,
) -> PlanResult:
    """Write a configuration that fits a data set and this machine, each value with its reason.

    Args:
        data: folder of scans with labels, or a CSV manifest.
        out: the configuration that is written, a YAML file.
        budget_minutes: of the training of a fold; None takes 30.
        settings: values that stay as they are, such as ``preprocessing.plane=axial``; the rest of
            the plan follows them.
        name: of the configuration; None takes that of ``out``.
        overwrite: replace a configuration that lies in ``out``.
        work: folder of private records and temporary files.
        workers: scans at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
        progress: receives the progress.

    Raises:
        ConfigErrors, UsageError: settings that are wrong or contradict each other.
        DataError: a data set that nothing can be learned from as it is.
        OutputError: ``out`` exists.

    Example:
        >>> planned = slicewise.plan(
        ...     "my_scans", "mine.yaml", budget_minutes=0.1, settings=["data.labels={core: 3}"]
        ... )
        >>> planned.config.data.labels
        {'core': 3}
        >>> planned.table.loc["preprocessing.plane", "value"]
        'thickest'
    """
    options = planning.PlanOptions(
        Path(data),
        Path(out),
        budget_minutes,
        tuple(settings),
        name,
        overwrite,
        Path(work),
        workers,
    )
    return planning.plan(options, progress)


def prepare(
    config: ConfigLike,
    *,
    settings: Sequence[str] = (),
    work: AnyPath = "work",
    workers: int | str | None = None,
    progress: Progress = SILENT,
) -> PreparedData:
    """Turn the scans of a data set into normalised slices; finished scans are never done twice.

    ``train`` does the same where it is needed.

    Args:
        config: a configuration, or the path of a YAML file.
        settings: changes of it, such as ``preprocessing.plane=axial``.
        work: folder of the slice cache.
        workers: scans at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
        progress: receives the progress.

    Raises:
        ConfigErrors: mistakes in the configuration, all at once.
        DataError: the data set is unusable as a whole.

    Example:
        >>> data = slicewise.prepare("mine.yaml")
        >>> len(data.cases), data.slices
        (6, 30)
    """
    options = preparing.PrepareOptions(as_config(config, settings), Path(work), workers)
    return preparing.prepare(options, progress)


def train(
    config: ConfigLike,
    *,
    out: AnyPath | None = None,
    fold: int | Literal["all"] = 0,
    settings: Sequence[str] = (),
    resume: bool = False,
    overwrite: bool = False,
    initial: AnyPath | None = None,
    devices: int | None = None,
    parallel: int | None = None,
    work: AnyPath = "work",
    workers: int | str | None = None,
    progress: Progress = SILENT,
) -> TrainingResult:
    """Train, score the held-out patients on their own grids, track the run, register the model.

    Args:
        config: a configuration, or the path of a YAML file.
        out: folder of the model; None takes one below the work folder.
        fold: number of the fold that is held out, or ``all`` to train every fold, after which the
            inference of their ensemble is tuned on the held-out cases.
        settings: changes of the configuration, such as ``training.budget_minutes=5``.
        resume: continue the training that lies in ``out``.
        overwrite: replace a training that lies in ``out``.
        initial: model whose weights the training starts from: a folder or checkpoint, a run id or
            ``models:/name@alias``.
        devices: number of processes of this machine that train each fold together, one a GPU, or,
            without GPUs, each with its share of the cores; None takes one.
        parallel: folds that are trained at the same time, each in a process of its own with its
            share of the cores, with a GPU of its own, or on a worker of the cluster that
            ``workers`` names; None trains one after the other.
        work: folder of slice cache, private records and tracking store.
        workers: scans at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
        progress: receives the progress.

    Raises:
        ConfigErrors: mistakes in the configuration, all at once.
        UsageError: no such fold, or an initial model of several networks.
        OutputError: ``out`` holds something else.
        TrainingError: the training cannot go on; the last checkpoint is intact.
        InterruptedBySignal: a signal ended the training after its state had been saved.

    Example:
        >>> run = slicewise.train("mine.yaml", out="my_model", settings=["training.steps=8"])
        >>> 0 <= run.mean_dice.mean <= 1
        True
        >>> list(run.scores.columns[:3])
        ['case', 'patient', 'structure']
        >>> list(run.summary.index)
        ['core']
    """
    options = training.TrainOptions(
        as_config(config, settings),
        None if fold == "all" else fold,
        optional_path(out),
        Path(work),
        workers,
        resume,
        overwrite,
        None if initial is None else str(initial),
        file_of(config),
        devices,
        parallel,
    )
    return training.train(options, progress)
