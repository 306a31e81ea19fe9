"""A report in; out its folder with page, slides and pictures, as a whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pipeline.errors import OutputError, file_problem
from pipeline.reporting.report import Report
from pipeline.reporting.report_page import write_report_page
from pipeline.reporting.slides import write_slides

PAGE, SLIDES, FIGURES = "report.html", "report.pdf", "figures"


def require_replaceable(out: Path) -> None:
    """Refuse a folder that holds anything but a report: it would be lost.

    Raises:
        OutputError: such a folder, or a file.
    """
    if not out.exists():
        return
    foreign = [out.name] if out.is_file() else sorted(_names(out) - {PAGE, SLIDES, FIGURES})
    if foreign:
        raise OutputError(
            out,
            expected="a folder for the report alone, or none yet",
            found=", ".join(foreign[:4]),
            remedy="choose another --out: an older report is replaced, and nothing else",
        )


def write_report(report: Report, out: Path) -> None:
    """Write the folder beside its place, then put it there: whoever is interrupted has the old one.

    Raises:
        OutputError: the place holds something else, or cannot be written.
    """
    require_replaceable(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=".report.", suffix=".part", dir=out.parent, ignore_cleanup_errors=True
        ) as name:
            fresh, old = Path(name) / "new", Path(name) / "old"
            fresh.mkdir()
            write_report_page(report, fresh / PAGE)
            write_slides(report, fresh / SLIDES, fresh / FIGURES)
            if out.exists():
                out.rename(old)
            fresh.rename(out)
    except OSError as error:
        raise OutputError(
            out,
            expected="a place that can be written",
            found=file_problem(error),
            remedy="choose another --out, free space, or correct its permissions",
        ) from error


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
