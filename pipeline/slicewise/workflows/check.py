"""Checks a data set: what it holds, and what is wrong with it, before hours of work are lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.config import Config
from slicewise.dataset.case_qc import CheckedCase, Examined, examine
from slicewise.dataset.catalogue import Case, Catalogue, SetAside
from slicewise.dataset.check_json import write_check_json
from slicewise.dataset.cohort_qc import Overview, compare, patient_numbers
from slicewise.dataset.description import holds_ignored, read_description, with_description
from slicewise.dataset.layouts import read_catalogue
from slicewise.dataset.twins import drop_looks_of_many
from slicewise.dataset.work_folder import WorkFolder, require_outside
from slicewise.dataset.workers import Workers, chosen_workers, run_on_scans
from slicewise.errors import ScanError
from slicewise.imaging.structures import structures_of
from slicewise.imaging.target import given, outputs
from slicewise.progress import SILENT, Progress, tracked
from slicewise.reporting.data_check.page import DataCheckPage, write_data_check_page
from slicewise.reporting.data_check.thumbnails import (
    StoredThumbnails,
    Thumbnail,
    draw_thumbnail,
    outline_colours,
)
from slicewise.workflows.messages import report_patients, report_set_aside

if TYPE_CHECKING:
    import pandas as pd

UNNAMED = Config.defaults("data-set")
"""Of a data set about which nothing is said; the name of its folder may be a patient's."""


@dataclass(frozen=True)
class CheckOptions:
    """What to check.

    Attributes:
        data: folder of scans, or a CSV manifest.
        config: layout, labels, patients and contrasts; its ``data.root`` is not used, and its name
            is the heading of the page. The default guesses the layout and names no structure.
        html: page with a picture of each scan to write.
        json: file with every finding to write.
        work: folder of private records.
        workers: scans at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
        overwrite: replace files of others.
        needs_labels: whether it is a problem that no scan has a label map.
    """

    data: Path
    config: Config = UNNAMED
    html: Path | None = None
    json: Path | None = None
    work: Path = Path("work")
    workers: int | str | None = None
    overwrite: bool = False
    needs_labels: bool = True


@dataclass(frozen=True)
class CheckResult:
    """What a data set holds, and what is wrong with it.

    Attributes:
        cases: a row each, in the order of their names.
        overview: the set in figures, and what concerns it as a whole.
        set_aside: what is no case, each with its reason.
        html: the page, where one was written.
        json: the file with every finding, where one was written.
    """

    cases: tuple[CheckedCase, ...]
    overview: Overview
    set_aside: tuple[SetAside, ...]
    html: Path | None
    json: Path | None

    @property
    def is_sound(self) -> bool:
        """Whether every scan can be used, and a training would take the data set."""
        overview = self.overview
        return not (self.set_aside or overview.unusable or overview.problems)

    @property
    def table(self) -> pd.DataFrame:
        """One row per case: its patient as a number, geometry, and findings as text."""
        import pandas as pd

        cases, patients = self.cases, patient_numbers(self.cases)
        columns = {
            "case": [case.name for case in cases],
            "patient": [patients[case.name] for case in cases],
            "shape": [case.shape for case in cases],
            "spacing_mm": [case.spacing_mm for case in cases],
            "orientation": [case.orientation for case in cases],
            "plane": [case.plane for case in cases],
            "labelled": [case.labelled for case in cases],
            "problems": ["; ".join(case.problems) for case in cases],
            "warnings": ["; ".join(case.warnings) for case in cases],
            "notes": ["; ".join(case.notes) for case in cases],
        }
        return pd.DataFrame(columns).set_index("case")


def check(options: CheckOptions, progress: Progress = SILENT) -> CheckResult:
    """Read every scan and label map to its last voxel, and compare the cases with one another.

    Raises:
        DataError: the data set is unusable as a whole.
        UsageError: the work folder lies inside of the data set.
        OutputError: a file cannot be written, or would replace one of others.
    """
    require_outside(options.data, {"work": options.work})
    files = {"html": given(options.html), "json": given(options.json)}
    with outputs("check", files, overwrite=options.overwrite, inputs=[options.data]):
        return _check(options, progress)


def _check(options: CheckOptions, progress: Progress) -> CheckResult:
    described = read_description(options.data, options.config.data)
    section = with_description(options.config.data, described)
    section = section.model_copy(update={"root": options.data})
    config, work = options.config.model_copy(update={"data": section}), WorkFolder(options.work)
    catalogue = read_catalogue(config.data, work.scanner(config.reading, progress))
    report_patients(progress, catalogue)
    with closing(StoredThumbnails()) as thumbnails:
        cases = _checked(catalogue, config, options, thumbnails, progress)
        for case in cases:
            if holds_ignored(described, config.data, case.structures):
                text = f"voxels of the label value {described.ignored} are to be ignored"
                case.problems.append(f"{text} (dataset.json), which training cannot do")
        overview = compare(cases, config.data, needs_labels=options.needs_labels)
        overview = replace(overview, notes=(*catalogue.notes, *overview.notes))
        set_aside = tuple(catalogue.set_aside)
        report_set_aside(progress, set_aside, work.write_quarantine("check", set_aside))
        if options.json is not None:
            write_check_json(options.json, cases, overview, set_aside)
        if options.html is not None:
            page = DataCheckPage(
                title=config.name,
                cases=cases,
                overview=overview,
                set_aside=set_aside,
                thumbnails=thumbnails,
                structures=structures_of(config.data.labels, config.structures),
            )
            write_data_check_page(page, options.html)
    return CheckResult(cases, overview, set_aside, options.html, options.json)


def _checked(
    catalogue: Catalogue,
    config: Config,
    options: CheckOptions,
    thumbnails: StoredThumbnails,
    progress: Progress,
) -> tuple[CheckedCase, ...]:
    """The cases in the order of their names, while their pictures are stored."""
    workers, with_thumbnails = chosen_workers(options.workers), options.html is not None
    done = check_cases(catalogue, config, workers, with_thumbnails=with_thumbnails)
    cases: list[CheckedCase] = []
    for drawn in tracked(done, progress, "checking", len(catalogue.cases)):
        cases.append(drawn.case)
        if drawn.thumbnail is not None:
            thumbnails.store(drawn.case.name, drawn.thumbnail)
    return tuple(sorted(cases, key=lambda case: case.name))


@dataclass(frozen=True)
class CaseTask:
    """What a worker needs for one case."""

    case: Case
    config: Config
    with_thumbnail: bool

    @property
    def name(self) -> str:
        """Of the case, for messages."""
        return self.case.name


@dataclass(frozen=True)
class DrawnCase:
    """What a worker hands back: findings and a few kilobytes of picture, no voxels."""

    case: CheckedCase
    thumbnail: Thumbnail | None = None


def check_cases(
    catalogue: Catalogue, config: Config, workers: Workers, *, with_thumbnails: bool
) -> Iterator[DrawnCase]:
    """Read every case to its last voxel; yields each when it is done."""
    tasks = (CaseTask(case, config, with_thumbnails) for case in catalogue.cases)
    for task, result in run_on_scans(check_case, tasks, workers):
        if isinstance(result, ScanError):
            case = CheckedCase(task.name, task.case.patient, labelled=task.case.label is not None)
            case.problems.append(result.reason)
            yield DrawnCase(case)
        else:
            drop_looks_of_many(result.case, len(catalogue.cases))
            yield result


def check_case(task: CaseTask) -> DrawnCase:
    """Check one case and, while its volumes are at hand, draw its most telling slice."""
    examined = examine(task.case, task.config)
    thumbnail = _draw(examined, task.config) if task.with_thumbnail else None
    return DrawnCase(examined.case, thumbnail)


def _draw(examined: Examined, config: Config) -> Thumbnail | None:
    if examined.image is None:
        return None
    structures = structures_of(config.data.labels, config.structures)
    colours = outline_colours(examined.case.structures, structures)
    return draw_thumbnail(examined.image, examined.label, examined.case.plane, colours)
