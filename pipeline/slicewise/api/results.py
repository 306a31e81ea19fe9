"""Compares runs, and reports how good a run is."""

from __future__ import annotations

from pathlib import Path

from slicewise.api.configs import AnyPath, optional_path
from slicewise.progress import SILENT, Progress
from slicewise.workflows import compare as comparing
from slicewise.workflows import report as reporting
from slicewise.workflows.compare import Comparison
from slicewise.workflows.report import ReportResult


def compare(
    first: AnyPath,
    second: AnyPath,
    *,
    metric: str = "dice",
    out: AnyPath | None = None,
    overwrite: bool = False,
    work: AnyPath = "work",
    progress: Progress = SILENT,
) -> Comparison:
    """Compare two runs on the cases that both have scored: which is better, and how sure that is.

    Args:
        first: folder of a run, a run id, ``models:/name@alias``, or a CSV of scores.
        second: likewise; differences are second minus first.
        metric: such as ``dice``, ``hd95_mm`` or ``surface_dice``.
        out: folder of the differences; None takes ``compare`` below the work folder.
        overwrite: replace files of others.
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
        str(first), str(second), metric, optional_path(out), Path(work), overwrite
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
    overwrite: bool = False,
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
        overwrite: replace a report that was changed since.
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
        overwrite,
    )
    return reporting.report(options, progress)
