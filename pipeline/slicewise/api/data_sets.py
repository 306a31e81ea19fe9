"""Checks, plans, converts and views data sets and scans; makes the demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from slicewise.api.configs import AnyPath, ConfigLike, as_config, optional_path
from slicewise.config import ReadingSection
from slicewise.progress import SILENT, Progress
from slicewise.workflows import check as checking
from slicewise.workflows import convert as converting
from slicewise.workflows import data as data_sets
from slicewise.workflows import demo as demonstrating
from slicewise.workflows import plan as planning
from slicewise.workflows import view as viewing
from slicewise.workflows.check import CheckResult
from slicewise.workflows.convert import ConvertResult
from slicewise.workflows.demo import DemoResult
from slicewise.workflows.plan import PlanResult
from slicewise.workflows.view import ViewResult


def check(
    data: AnyPath,
    *,
    config: ConfigLike | None = None,
    settings: Sequence[str] = (),
    html: AnyPath | None = None,
    json: AnyPath | None = None,
    work: AnyPath = "work",
    workers: int | None = None,
    progress: Progress = SILENT,
) -> CheckResult:
    """Find out what a data set holds and what is wrong with it.

    Args:
        data: folder of scans, or a CSV manifest.
        config: layout, labels, patients and contrasts; None guesses the layout.
        settings: changes of the configuration, such as ``data.allow_unpaired=true``.
        html: page with a picture of each scan to write; it names no path and no patient.
        json: file with every finding to write.
        work: folder of private records.
        workers: scans at a time; None takes as many as there are cores.
        progress: receives the progress.

    Raises:
        DataError: the data set is unusable as a whole.
        ConfigErrors: mistakes in the configuration, all at once.

    Example:
        >>> found = slicewise.check("my_scans")
        >>> found.overview.cases, found.overview.unusable
        (6, 0)
        >>> found.table.loc["case0", "orientation"]
        'LPS'
    """
    chosen = checking.UNNAMED if config is None else config
    options = checking.CheckOptions(
        Path(data),
        as_config(chosen, settings),
        optional_path(html),
        optional_path(json),
        Path(work),
        workers,
    )
    return checking.check(options, progress)


def plan(
    data: AnyPath,
    out: AnyPath,
    *,
    budget_minutes: float | None = None,
    settings: Sequence[str] = (),
    name: str | None = None,
    overwrite: bool = False,
    work: AnyPath = "work",
    workers: int | None = None,
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
        workers: scans at a time; None takes as many as there are cores.
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


def convert(
    source: AnyPath,
    out: AnyPath,
    *,
    reading: ReadingSection | None = None,
    json: AnyPath | None = None,
    overwrite: bool = False,
    work: AnyPath = "work",
    workers: int | None = None,
    progress: Progress = SILENT,
) -> ConvertResult:
    """Write every volume of a folder as NIfTI, with its acquisition facts as JSON.

    Args:
        source: a scan, a folder of scans or of DICOM.
        out: folder of ``NAME.nii.gz`` and ``NAME.json``.
        reading: how unusual scans are read.
        json: file of the table of volumes to write.
        overwrite: replace files of an earlier conversion.
        work: folder of private records.
        workers: scans at a time; None takes as many as there are cores.
        progress: receives the progress.

    Raises:
        ScanError: no scan at all.
        OutputError: files of an earlier conversion, or a folder that cannot be written.

    Example:
        >>> done = slicewise.convert("my_scans/images", "nifti")
        >>> len(done.volumes), done.set_aside
        (6, ())
    """
    options = converting.ConvertOptions(
        Path(source),
        Path(out),
        reading or ReadingSection(),
        optional_path(json),
        overwrite,
        Path(work),
        workers,
    )
    return converting.convert(options, progress)


def view(
    scan: AnyPath,
    masks: Mapping[str, AnyPath] | None = None,
    *,
    out: AnyPath = "view.html",
    config: ConfigLike | None = None,
    settings: Sequence[str] = (),
    work: AnyPath = "work",
    progress: Progress = SILENT,
) -> ViewResult:
    """Write a page that shows a scan with its masks in three linked planes.

    The page needs no network. It holds the scan's voxels: share it as you would the scan.

    Args:
        scan: a scan, a DICOM folder, or a folder of several scans.
        masks: name, as the page shows it, to the path of a mask; four at most.
        out: the page, an HTML file.
        config: names and colours of the structures; None takes the colour table next to a mask.
        settings: changes of the configuration.
        work: folder of private records.
        progress: receives the progress.

    Raises:
        ScanError: no scan, or a damaged one.
        GeometryError: a mask lies on another grid.

    Example:
        >>> shown = slicewise.view(
        ...     "my_scans/images/case0.nii.gz", {"reference": "my_scans/labels/case0.nii.gz"}
        ... )
        >>> shown.page.name, len(shown.shown)
        ('view.html', 1)
    """
    options = viewing.ViewOptions(
        Path(scan),
        {name: Path(path) for name, path in (masks or {}).items()},
        Path(out),
        None if config is None else as_config(config, settings),
        Path(work),
    )
    return viewing.view(options, progress)


def make_demo_data(
    folder: AnyPath, *, subjects: int = 24, seed: int = 0, progress: Progress = SILENT
) -> Path:
    """Make the synthetic demo cohort: good for a trial, not for accuracy claims.

    Args:
        folder: takes ``images``, ``labels`` and the manifest ``dataset.csv``; every third subject
            is a DICOM series. Subjects that lie there already are kept.
        subjects: how many.
        seed: of the cohort.
        progress: receives the progress.

    Returns:
        The folder.

    Raises:
        DataError: the folder holds something else.
        OutputError: the folder cannot be written.

    Example:
        >>> slicewise.make_demo_data("demo_cohort", subjects=3).name
        'demo_cohort'
    """
    options = data_sets.DemoDataOptions(Path(folder), subjects, seed)
    return data_sets.make_demo_data(options, progress).folder


def demo(
    *,
    work: AnyPath = "work",
    subjects: int = 24,
    seed: int = 0,
    settings: Sequence[str] = (),
    progress: Progress = SILENT,
) -> DemoResult:
    """Run the whole path on a synthetic cohort: check, train, predict, score, track and report.

    The cohort is good for a trial, not for claims about accuracy. About five minutes on two cores.

    Args:
        work: folder of everything that it makes.
        subjects: of the cohort; at least eight.
        seed: of the cohort.
        settings: changes of the configuration, such as ``training.steps=50``.
        progress: receives the progress.

    Raises:
        ConfigErrors: unknown settings and wrong values.
        DataError: the folder of the cohort holds something else.
        OutputError: the work folder cannot be written.

    Example:
        >>> done = slicewise.demo(subjects=8, settings=["training.steps=5"])
        >>> done.report.page.name
        'report.html'
    """
    options = demonstrating.DemoOptions(Path(work), subjects, seed, tuple(settings))
    return demonstrating.run_demo(options, progress)
