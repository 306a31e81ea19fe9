"""Writes the folder of a report: page, slides and pictures, completely or not at all."""

from __future__ import annotations

from pathlib import Path

from slicewise.errors import OutputError, file_problem
from slicewise.imaging.files import part_folder
from slicewise.imaging.mark import MARK, Writer, marking_all, record_of, some_of
from slicewise.reporting.report.contents import Report
from slicewise.reporting.report.page import GENERATOR, write_report_page
from slicewise.reporting.report.slides import write_slides

_OWN = (MARK,)
PAGE, SLIDES, FIGURES = "report.html", "report.pdf", "figures"
_HEAD_BYTES = 65_536
"""Of a page; its generator stands within."""


def require_replaceable(out: Path, *, overwrite: bool = False) -> None:
    """Refuse what is neither empty nor a report that slicewise made: it would be lost.

    Args:
        out: folder of the report.
        overwrite: replace a report that was changed since.

    Raises:
        OutputError: such a folder, or a file.
    """
    if not out.exists():
        return
    if out.is_dir():
        files = [path for path in out.rglob("*") if path.is_file() and path.name not in _OWN]
        names = {path.relative_to(out).parts[0] for path in files}
    else:
        files, names = [out], {out.name}
    foreign = sorted(names - {PAGE, SLIDES, FIGURES})
    if foreign or (names and not _is_own(out / PAGE)):
        raise OutputError(
            out,
            expected="a folder for the report alone, or none yet",
            found=", ".join(foreign[:4]) or f"no {PAGE} of slicewise next to {min(names)}",
            remedy="choose another `out`: only an older report is replaced",
        )
    changed = [path for path in files if record_of(path) is None]
    if changed and not overwrite:
        raise OutputError(
            out,
            expected="a report that nobody has changed since it was written",
            found=some_of(changed),
            remedy="choose another `out`, or replace it with `overwrite`",
        )


def write_report(report: Report, out: Path, *, overwrite: bool = False) -> None:
    """Write a new folder and then replace the old one, which an interrupt leaves as it was.

    Args:
        report: its content.
        out: folder of the report.
        overwrite: replace a report that was changed since.

    Raises:
        OutputError: the place holds something else, or cannot be written.
    """
    require_replaceable(out, overwrite=overwrite)
    try:
        with part_folder(out.parent) as folder:
            fresh, old = folder / "new", folder / "old"
            fresh.mkdir()
            with marking_all(Writer("report"), fresh):
                write_report_page(report, fresh / PAGE)
                write_slides(report, fresh / SLIDES, fresh / FIGURES)
            _swap(fresh, out, old)
    except OSError as error:
        raise OutputError(
            out,
            expected="a place that can be written",
            found=file_problem(error),
            remedy="choose another `out`, free space, or correct its permissions",
        ) from error


def _swap(fresh: Path, out: Path, old: Path) -> None:
    """Put one folder into the place of another; whatever comes between, one of them is there."""
    try:
        if out.exists():
            out.rename(old)
        fresh.rename(out)
    except BaseException:
        # An interrupt too: the old folder is about to be cleaned up.
        if old.exists() and not out.exists():
            old.rename(out)
        raise


def _is_own(page: Path) -> bool:
    """Whether slicewise wrote a page."""
    if not page.is_file():
        return False
    with page.open("rb") as stream:
        return f'<meta name="generator" content="{GENERATOR}">'.encode() in stream.read(_HEAD_BYTES)
