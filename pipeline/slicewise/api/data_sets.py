"""Checks, converts and views data sets and scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from slicewise.api.configs import AnyPath, ConfigLike, as_config, optional_path
from slicewise.config import ReadingSection
from slicewise.progress import SILENT, Progress
from slicewise.workflows import check as checking
from slicewise.workflows import convert as converting
from slicewise.workflows import view as viewing
from slicewise.workflows.check import CheckResult
from slicewise.workflows.convert import ConvertResult
from slicewise.workflows.view import ViewResult


def check(
    data: AnyPath,
    *,
    config: ConfigLike | None = None,
    settings: Sequence[str] = (),
    html: AnyPath | None = None,
    json: AnyPath | None = None,
    overwrite: bool = False,
    work: AnyPath = "work",
    workers: int | str | None = None,
    progress: Progress = SILENT,
) -> CheckResult:
    """Find out what a data set holds and what is wrong with it.

    Args:
        data: folder of scans, or a CSV manifest.
        config: layout, labels, patients and contrasts; None guesses the layout.
        settings: changes of the configuration, such as ``data.allow_unpaired=true``.
        html: page with a picture of each scan to write; it names no path and no patient.
        json: file with every finding to write.
        overwrite: replace files of others; the data set never is.
        work: folder of private records.
        workers: scans at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
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
        overwrite,
    )
    return checking.check(options, progress)


def convert(
    source: AnyPath,
    out: AnyPath,
    *,
    reading: ReadingSection | None = None,
    json: AnyPath | None = None,
    overwrite: bool = False,
    work: AnyPath = "work",
    workers: int | str | None = None,
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
        workers: scans at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
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
    overwrite: bool = False,
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
        overwrite: replace a page of others; scan and masks never are.
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
        overwrite,
    )
    return viewing.view(options, progress)
