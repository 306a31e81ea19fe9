"""``slicewise report``: a run in, a page and slides that tell how good it is out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Work


def report(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Folder of a run or of masks, a run id, or models:/name@alias.",
        ),
    ],
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="RUN", help="What `slicewise baseline` left."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="RUN", help="Another run on the same cases."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="The data set; default: that of the run."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the report; default: RUN/report."),
    ] = None,
    work: Work = DEFAULT_WORK,
    no_viewer: Annotated[
        bool,
        typer.Option("--no-viewer", help="Leave the viewer out: the page is 3 to 10 MB smaller."),
    ] = False,
    attach: Annotated[
        bool, typer.Option("--attach", help="Log page and PDF to the tracked run, too.")
    ] = False,
) -> None:
    """Write one page: how good, where it fails, better than thresholds, better than another run.

    The folder holds report.html, which needs no network, report.pdf and a PNG of each slide in
    figures/. An older report in its place is replaced when the new one is complete. Without the
    data set there are no pictures of cases; a folder that holds masks alone has no scores.

    Examples:
      slicewise report work/runs/hippocampus/fold-0

      slicewise report model --baseline model-baseline --against old-model --out model-report

      slicewise report model --attach

      slicewise report masks --data scans --out masks-report
    """
    from slicewise.cli.console import loading, note

    with loading():
        from slicewise.cli.report_run import ReportJob, attach_report, gather, tracked_id
        from slicewise.reporting.report.folder import PAGE, require_replaceable, write_report
    job = ReportJob.of(run, work, data, baseline, against, with_viewer=not no_viewer)
    folder = out or job.folder / "report"
    run_id = tracked_id(job) if attach else None
    require_replaceable(folder)
    content = gather(job)
    for text in content.notes:
        note(text)
    write_report(content, folder)
    note(f"page: {folder / PAGE}")
    if run_id is not None:
        attach_report(folder, run_id, work)
        note(f"logged to run {run_id}, below report/")
