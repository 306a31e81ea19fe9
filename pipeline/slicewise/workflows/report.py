"""Writes the report of a run or of masks: a page, slides and figures; tracks it on demand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.errors import UsageError
from slicewise.evaluation.results import holds_results
from slicewise.evaluation.scores import scores_table
from slicewise.file_names import nearest_path
from slicewise.imaging.locking import LOCK, sole_user
from slicewise.imaging.masks import find_masks
from slicewise.progress import SILENT, Progress
from slicewise.reporting.report.contents import Report
from slicewise.reporting.report.folder import (
    FIGURES,
    PAGE,
    SLIDES,
    require_replaceable,
    write_report,
)
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.run_index import RunPlace, find_run
from slicewise.tracking.spool.run_ids import known_id
from slicewise.tracking.store import answering, open_store
from slicewise.workflows.report_masks import report_of_masks
from slicewise.workflows.report_run import report_of_run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ReportOptions:
    """What to report.

    Attributes:
        run: folder of a run or of masks, a run id, or ``models:/name@alias``.
        out: folder of the report; None takes ``report`` in the folder of the run.
        data: the data set, for pictures of cases; None takes the one that the run was made with.
        baseline: run of a classical baseline on the same cases, to compare with.
        against: another run on the same cases, to compare with.
        viewer: put a viewer into the page, which adds 3 to 10 MB.
        attach: log page and slides to the tracked run, too.
        work: the work folder that the run was made with.
        overwrite: replace a report that was changed since.
    """

    run: str | Path
    out: Path | None = None
    data: Path | None = None
    baseline: str | Path | None = None
    against: str | Path | None = None
    viewer: bool = True
    attach: bool = False
    work: Path = Path("work")
    overwrite: bool = False


@dataclass(frozen=True)
class ReportResult:
    """A report that was written.

    Attributes:
        folder: of page, slides and figures.
        content: everything that they show.
        run_id: of the tracked run that page and slides were logged to; empty unless asked for.
    """

    folder: Path
    content: Report
    run_id: str = ""

    @property
    def page(self) -> Path:
        """One HTML file that needs no network."""
        return self.folder / PAGE

    @property
    def slides(self) -> Path:
        """The same as PDF."""
        return self.folder / SLIDES

    @property
    def figures(self) -> tuple[Path, ...]:
        """A PNG of each slide."""
        return tuple(sorted((self.folder / FIGURES).glob("*.png")))

    @property
    def scores(self) -> pd.DataFrame:
        """One row per held-out case and structure; empty for masks without scores."""
        return scores_table(self.content.scores)

    @property
    def volumes_ml(self) -> pd.DataFrame:
        """Predicted volume of masks without scores, one row per case, one column per structure."""
        import pandas as pd

        return pd.DataFrame(self.content.volumes_ml).rename_axis("case")


def report(options: ReportOptions, progress: Progress = SILENT) -> ReportResult:
    """Write a page and slides: how good a run is, where it fails, how it compares.

    An older report in the same place is replaced once the new one is complete.

    Raises:
        UsageError: a file instead of a folder, a data set that is not there, scans in the place of
            masks, or a comparison with something without scores.
        DataError, ModelError: no such run, a damaged one, or no case in common with the other.
        OutputError: the place holds something else or cannot be written, or the tracking store
            does not answer.
    """
    place = _place(options)
    folder = options.out or RunFolder(place.folder).report
    run_id = RunFolder(place.folder).run_id() if options.attach else ""
    require_replaceable(folder, overwrite=options.overwrite)
    with sole_user(folder.parent, f".{folder.name}{LOCK}"):
        content = _content(options, place, progress)
        for text in content.notes:
            progress.message(text)
        write_report(content, folder, overwrite=options.overwrite)
    if run_id:
        _attach(folder, run_id, options.work)
    return ReportResult(folder, content, run_id)


def _place(options: ReportOptions) -> RunPlace:
    if Path(options.run).is_file():
        raise UsageError(
            options.run,
            expected="the folder of a run, or of masks",
            found="a file",
            remedy="give its folder; scores alone are compared by `slicewise compare`",
        )
    if options.data is not None and not options.data.exists():
        raise UsageError(
            f"`data` {options.data}",
            expected="the data set",
            found="no such file or folder",
            remedy=nearest_path(options.data) or "correct the path",
        )
    place = find_run(options.run, options.work)
    return RunPlace(place.folder, options.data or place.data_root)


def _content(options: ReportOptions, place: RunPlace, progress: Progress) -> Report:
    if holds_results(place.folder) or not find_masks(place.folder):
        return report_of_run(options, place, progress)
    for name, run in (("baseline", options.baseline), ("against", options.against)):
        if run is not None:
            raise UsageError(
                f"`{name}` {run}",
                expected="a run with scores",
                found=f"{place.folder}, which holds only masks",
                remedy="score them first: `slicewise evaluate`, then `slicewise compare`",
            )
    return report_of_masks(place, options.work, progress, viewer=options.viewer)


def _attach(folder: Path, run_id: str, work: Path) -> None:
    store = open_store(work)
    with answering(store, f"run {run_id}"):
        for name in (PAGE, SLIDES):
            store.client.log_artifact(known_id(store, run_id), str(folder / name), "report")
