"""``slicewise report``: a page and slides that show how good a run is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overwrite, Work


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
        typer.Option("--baseline", metavar="RUN", help="Result of `slicewise baseline`."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="RUN", help="Another run on the same cases."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Folder of the data set; default: that of the run."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the report; default: RUN/report."),
    ] = None,
    overwrite: Overwrite = False,
    work: Work = DEFAULT_WORK,
    no_viewer: Annotated[
        bool,
        typer.Option("--no-viewer", help="Leave out the viewer; the page is 3 to 10 MB smaller."),
    ] = False,
    attach: Annotated[
        bool, typer.Option("--attach", help="Also log page and PDF to the tracked run.")
    ] = False,
) -> None:
    r"""Write a report of a run, as a page, a PDF and slides.

    It shows how good the model is, where it fails, and whether it is better than
    thresholds (--baseline) and than another run (--against).

    The folder holds report.html, which works offline, report.pdf, and a PNG of
    each slide in figures/. An older report in its place is replaced when the new
    one is complete. Without the data set, there are no pictures of cases; a
    folder of masks alone has no scores.

    Examples:
      slicewise report work/runs/hippocampus/fold-0

      slicewise report model --baseline model-baseline --against old-model \
        --out model-report

      slicewise report model --attach

      slicewise report masks --data scans --out masks-report
    """
    from slicewise.cli.console import PROGRESS, loading, note

    with loading():
        from slicewise.workflows.report import ReportOptions
        from slicewise.workflows.report import report as report_run
    options = ReportOptions(
        run,
        out,
        data,
        baseline,
        against,
        viewer=not no_viewer,
        attach=attach,
        work=work,
        overwrite=overwrite,
    )
    result = report_run(options, PROGRESS)
    note(f"page: {result.page}")
    if result.run_id:
        note(f"logged to run {result.run_id}, below report/")
