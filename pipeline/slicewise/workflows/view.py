"""Writes a page that shows all planes of a scan with its masks; it needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slicewise.config import Config, ReadingSection
from slicewise.dataset.work_folder import WorkFolder, require_outside
from slicewise.errors import ScanError, UsageError
from slicewise.imaging.label_table import structures_next_to
from slicewise.imaging.masks import find_masks
from slicewise.imaging.nifti.reading import is_nifti
from slicewise.imaging.pictures import is_picture
from slicewise.imaging.scan import ScanSource, read_label, read_scan, source_name
from slicewise.imaging.scan_search import find_scans
from slicewise.imaging.structures import structures_of
from slicewise.imaging.target import SUFFIXES, outputs
from slicewise.progress import SILENT, Progress, tracked
from slicewise.quantities import counted, listed
from slicewise.reporting.viewer.page import write_viewer_page
from slicewise.reporting.viewer.scan_data import MAX_MASKS, ViewedMask, ViewedScan
from slicewise.workflows.messages import report_warnings

MOST_SCANS = 30
"""Of one page."""


@dataclass(frozen=True)
class ViewOptions:
    """What to look at.

    Attributes:
        scan: a scan, a DICOM folder, or a folder of several scans, each of which can be chosen.
        masks: name, as the page shows it, to the path of a mask; four at most. They are laid over
            all scans.
        out: the page, an HTML file.
        config: names and colours of the structures. Without one they come from ``NAME.ctbl`` or
            ``labels.ctbl`` next to a mask.
        work: folder of private records.
        overwrite: replace a page of others.
    """

    scan: Path
    masks: Mapping[str, Path] = field(default_factory=dict)
    out: Path = Path("view.html")
    config: Config | None = None
    work: Path = Path("work")
    overwrite: bool = False


@dataclass(frozen=True)
class ViewResult:
    """A page that was written.

    Attributes:
        page: the HTML file.
        shown: names of the scans that it shows.
        left_out: names of the scans that were too large for one page.
    """

    page: Path
    shown: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Of the page."""
        return self.page.stat().st_size


def view(options: ViewOptions, progress: Progress = SILENT) -> ViewResult:
    """Write one HTML file with a viewer of the scans and their masks.

    Raises:
        UsageError: too many scans or masks, or a page that would lie among the scans.
        ScanError, LabelError: damaged, no label map, or a folder in the place of a mask.
        GeometryError: a mask lies on another grid than a scan.
        OutputError: the page cannot be written, or would replace a file of others.
    """
    require_outside(options.scan, {"out": options.out})
    if len(options.masks) > MAX_MASKS:
        raise UsageError(
            "`masks`",
            expected=f"at most {MAX_MASKS} masks",
            found=counted(len(options.masks), "mask"),
            remedy="leave some of them out",
        )
    for path in options.masks.values():
        _require_no_folder_of_masks(path)
    inputs = (options.scan, *options.masks.values())
    writing = outputs(
        "view",
        {"out": [options.out]},
        overwrite=options.overwrite,
        inputs=inputs,
        suffixes={"out": SUFFIXES["html"]},
    )
    with writing:
        return _view(options, progress)


def _view(options: ViewOptions, progress: Progress) -> ViewResult:
    sources = _scans(options, progress)
    viewed: list[ViewedScan] = []
    warnings: dict[str, tuple[str, ...]] = {}
    for name, source in tracked(sources.items(), progress, "reading", len(sources)):
        scan, warnings[name] = _with_masks(name, source, options)
        viewed.append(scan)
    report_warnings(progress, warnings)
    titles = [scan.title for scan in viewed]
    left_out = write_viewer_page(viewed, options.out, listed(titles, 3))
    shown = tuple(title for title in titles if title not in left_out)
    return ViewResult(options.out, shown, left_out)


def mask_name(path: Path, number: int) -> str:
    """What the page calls a mask to which no name was given.

    The name of a DICOM file may be a patient's and is not shown.

    Args:
        path: of the mask.
        number: of the mask, from 1.
    """
    return source_name(path) if is_nifti(path) or is_picture(path) else f"mask {number}"


def _require_no_folder_of_masks(path: Path) -> None:
    """Refuse a folder of masks; one of DICOM label images, which are one mask, is left."""
    masks = find_masks(path) if path.is_dir() else {}
    if masks:
        first = next(iter(masks.values()))
        raise ScanError(
            path,
            expected="one mask",
            found=f"a folder of {len(masks)}, such as {first.name}",
            remedy=f"give the path of the mask, such as {first}",
        )


def _scans(options: ViewOptions, progress: Progress) -> Mapping[str, ScanSource]:
    """Name to source of each scan behind the path."""
    require_outside(options.scan, {"work": options.work})
    scanner = WorkFolder(options.work).scanner(_reading(options.config), progress)
    found = find_scans(options.scan, scanner)
    if not found.sources:
        raise found.set_aside[0]
    if len(found.sources) > MOST_SCANS:
        raise UsageError(
            options.scan,
            expected=f"at most {MOST_SCANS} scans for one page",
            found=counted(len(found.sources), "scan"),
            remedy="give one of them, or a folder with fewer",
        )
    return found.sources


def _with_masks(
    name: str, source: ScanSource, options: ViewOptions
) -> tuple[ViewedScan, tuple[str, ...]]:
    """A scan with its masks, and what was noticed when they were read."""
    config, reading = options.config, _reading(options.config)
    scan = read_scan(source, reading)
    warnings = list(scan.warnings)
    viewed = []
    for mask, path in options.masks.items():
        label = read_label(path, scan, reading, config.data.labels if config else {})
        warnings += (f"{mask}: {text}" for text in label.warnings)
        structures = (
            structures_of(config.data.labels, config.structures)
            if config
            else structures_next_to(path)
        )
        viewed.append(ViewedMask(mask, label, structures))
    return ViewedScan(name, scan, tuple(viewed)), tuple(warnings)


def _reading(config: Config | None) -> ReadingSection:
    return config.reading if config else ReadingSection()
