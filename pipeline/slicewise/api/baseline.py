"""The classical baseline; a module of its own, since OpenCV need not be installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slicewise.api.configs import AnyPath, ConfigLike, as_config, optional_path
from slicewise.progress import SILENT, Progress
from slicewise.workflows import baseline as fitting
from slicewise.workflows.baseline import BaselineResult


def fit_baseline(
    config: ConfigLike,
    *,
    out: AnyPath | None = None,
    fold: int = 0,
    settings: Sequence[str] = (),
    overwrite: bool = False,
    work: AnyPath = "work",
    workers: int | str | None = None,
    progress: Progress = SILENT,
) -> BaselineResult:
    """Fit thresholds, morphology and a prior where a network would be, and score them alike.

    It needs OpenCV, which the extra ``baseline`` brings.

    Args:
        config: contrasts, structures, preprocessing and folds; its network is not used.
        out: folder of the results; None takes one below the work folder.
        fold: number of the fold that is held out.
        settings: changes of the configuration.
        overwrite: replace a baseline that lies in ``out``.
        work: folder of slice cache, private records and tracking store.
        workers: processes, or the address of a Dask cluster; None takes as many as there are
            cores.
        progress: receives the progress.

    Raises:
        OutputError: ``out`` holds a network or another baseline.
        DataError: no usable case on one side of the fold.

    Example:
        >>> classical = slicewise.fit_baseline("mine.yaml", out="my_baseline")
        >>> list(classical.summary.index)
        ['core']
    """
    options = fitting.BaselineOptions(
        as_config(config, settings), fold, optional_path(out), Path(work), workers, overwrite
    )
    return fitting.fit_baseline(options, progress)
