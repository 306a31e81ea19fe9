"""Scores masks, compares runs, and reports how good a run is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.api.configs import AnyPath, ConfigLike, as_config, optional_path
from slicewise.progress import SILENT, Progress
from slicewise.workflows import compare as comparing
from slicewise.workflows import evaluate as evaluating
from slicewise.workflows import promote as promoting
from slicewise.workflows import report as reporting
from slicewise.workflows.compare import Comparison
from slicewise.workflows.evaluate import Evaluation
from slicewise.workflows.report import ReportResult

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    predictions: AnyPath,
    labels: AnyPath,
    *,
    out: AnyPath | None = None,
    config: ConfigLike | None = None,
    settings: Sequence[str] = (),
    json: AnyPath | None = None,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Score masks from anywhere on the grid of their references.

    A false-negative or false-positive structure scores 0 and has no distance; where both masks are
    empty nothing is defined, and the case is counted.

    Args:
        predictions: a mask, or a folder of masks.
        labels: its reference, or a folder of references with the names of their masks.
        out: CSV of the scores to write.
        config: names and tolerances of structures, and which cases share a patient; None names
            structures after their values, and takes each case for a patient of its own.
        settings: changes of the configuration.
        json: file of the summary to write.
        workers: pairs at a time; None takes as many as there are cores.
        progress: receives the progress.

    Raises:
        DataError: no pair of a mask and its reference.
        ScanError: the only pair cannot be scored; of several, those that cannot are in
            ``set_aside``.

    Example:
        >>> found = slicewise.evaluate("my_scans/labels", "my_scans/labels")
        >>> float(found.scores["dice"].min())
        1.0
    """
    options = evaluating.EvaluateOptions(
        Path(predictions),
        Path(labels),
        optional_path(out),
        None if config is None else as_config(config, settings),
        optional_path(json),
        workers,
    )
    return evaluating.evaluate(options, progress)


def compare(
    first: AnyPath,
    second: AnyPath,
    *,
    metric: str = "dice",
    out: AnyPath | None = None,
    work: AnyPath = "work",
    progress: Progress = SILENT,
) -> Comparison:
    """Compare two runs on the cases that both have scored: which is better, and how sure that is.

    Args:
        first: folder of a run, a run id, ``models:/name@alias``, or a CSV of scores.
        second: likewise; differences are second minus first.
        metric: such as ``dice``, ``hd95_mm`` or ``surface_dice``.
        out: folder of the differences; None takes ``compare`` below the work folder.
        work: the work folder that the runs were made with.
        progress: receives the progress.

    Raises:
        DataError: no such run, or one without scores.
        UsageError: an unknown metric.

    Example:
        >>> found = slicewise.compare("my_model", "my_model/scores.csv")
        >>> float(found.table.loc["core", "difference"])
        0.0
    """
    options = comparing.CompareOptions(
        str(first), str(second), metric, optional_path(out), Path(work)
    )
    return comparing.compare(options, progress)


def report(
    run: AnyPath,
    *,
    out: AnyPath | None = None,
    data: AnyPath | None = None,
    baseline: AnyPath | None = None,
    against: AnyPath | None = None,
    viewer: bool = True,
    attach: bool = False,
    work: AnyPath = "work",
    progress: Progress = SILENT,
) -> ReportResult:
    """Write one page, a PDF and slides: how good a run is, where it fails, what it is better than.

    Args:
        run: folder of a run or of masks, a run id, or ``models:/name@alias``.
        out: folder of the report; None takes ``report`` in the folder of the run.
        data: the data set, for pictures of cases; None takes the one that the run was made with.
        baseline: run of a classical baseline on the same cases.
        against: another run on the same cases.
        viewer: put a viewer into the page, which adds 3 to 10 MB.
        attach: log page and slides to the tracked run, too.
        work: the work folder that the run was made with.
        progress: receives the progress.

    Raises:
        DataError: no such run, or a damaged one.
        OutputError: ``out`` holds something else than a report.

    Example:
        >>> slicewise.report("my_model", viewer=False).page.name
        'report.html'
    """
    options = reporting.ReportOptions(
        str(run),
        optional_path(out),
        optional_path(data),
        None if baseline is None else str(baseline),
        None if against is None else str(against),
        viewer,
        attach,
        Path(work),
    )
    return reporting.report(options, progress)


def registered_models(name: str | None = None, *, work: AnyPath = "work") -> pd.DataFrame:
    """The versions of registered models, the newest of each model first.

    Args:
        name: of a model; None lists all.
        work: work folder whose store is asked.

    Returns:
        A row a version: ``name``, ``version``, ``aliases`` such as ``champion``, ``dice`` (mean
        Dice of its held-out cases), ``folds``, the day it was ``registered``, and its ``run_id``.

    Raises:
        ModelError: no model of that name.

    Example:
        >>> versions = slicewise.registered_models()
        >>> versions.loc[0, "aliases"]
        ('champion',)
    """
    import pandas as pd

    rows = promoting.list_models(promoting.ListModelsOptions(name, work=Path(work)))
    return pd.DataFrame([asdict(row) for row in rows])
