"""The steps of ``view``: what the arguments name in, scans with their masks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from slicewise.cli.bridge import scanning
from slicewise.config import Config, ReadingSection
from slicewise.dataset.work_folder import require_outside
from slicewise.errors import UsageError
from slicewise.imaging.label_table import read_colour_table
from slicewise.imaging.nifti.reading import is_nifti, stem
from slicewise.imaging.pictures import is_picture
from slicewise.imaging.scan import ScanSource, find_scans, read_label, read_scan, source_name
from slicewise.imaging.structures import Structure, structures_of
from slicewise.reporting.viewer.scan_data import MOST_MASKS, ViewedMask, ViewedScan

MOST_SCANS = 30


def require_page(out: Path, scan: Path) -> None:
    """Refuse a place where a page should not be, such as that of a scan.

    Raises:
        UsageError: no HTML file, or inside of the input.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(
            f"--out {out}",
            expected="a file that ends in .html",
            found=out.name,
            remedy="correct the suffix",
        )
    require_outside(scan, {"--out": out})


def scans_to_view(scan: Path, config: Config | None, work: Path) -> dict[str, ScanSource]:
    """Name to source of each scan behind a path.

    Raises:
        ScanError: none there, or damaged.
        UsageError: more than a page is good for.
    """
    require_outside(scan, {"--work": work})
    reading = config.reading if config else ReadingSection()
    with scanning(work, reading) as scanner:
        found = find_scans(scan, scanner)
    if not found.sources:
        raise found.set_aside[0]
    if len(found.sources) > MOST_SCANS:
        raise UsageError(
            scan,
            expected=f"at most {MOST_SCANS} scans for one page",
            found=f"{len(found.sources)}",
            remedy="give one of them, or a folder with fewer",
        )
    return found.sources


def named_masks(arguments: Sequence[str]) -> dict[str, Path]:
    """Name to path of each mask: ``NAME=PATH``, or a path alone, named after its file.

    The name of a DICOM file may be a patient's and is not shown.

    Raises:
        UsageError: too many masks, or two of the same name.
    """
    masks: dict[str, Path] = {}
    if len(arguments) > MOST_MASKS:
        raise UsageError(
            "MASKS",
            expected=f"at most {MOST_MASKS}",
            found=str(len(arguments)),
            remedy="leave some of them out",
        )
    for number, argument in enumerate(arguments, start=1):
        name, path = _name_and_path(argument, number)
        if name in masks:
            raise UsageError(
                argument,
                expected="masks of different names",
                found=f"{name} twice",
                remedy="name them, as in prediction=PATH",
            )
        masks[name] = path
    return masks


def viewed_scan(
    name: str, source: ScanSource, masks: Mapping[str, Path], config: Config | None
) -> tuple[ViewedScan, tuple[str, ...]]:
    """A scan with its masks, and what was noticed when they were read.

    Raises:
        GeometryError: a mask lies on another grid.
        ScanError, LabelError: damaged, or no label map.
    """
    reading = config.reading if config else ReadingSection()
    names = config.data.labels if config else {}
    scan = read_scan(source, reading)
    warnings = list(scan.warnings)
    viewed = []
    for mask, path in masks.items():
        label = read_label(path, scan, reading, names)
        warnings += (f"{mask}: {text}" for text in label.warnings)
        viewed.append(ViewedMask(mask, label, structures_beside(path, config)))
    return ViewedScan(name, scan, tuple(viewed)), tuple(warnings)


def structures_beside(mask: Path, config: Config | None) -> tuple[Structure, ...]:
    """What the values of a mask mean: as configured, or as a colour table beside it says.

    Raises:
        LabelError: a colour table that is none.
    """
    if config is not None:
        return structures_of(config.data.labels, config.structures)
    bare = stem(mask) if is_nifti(mask) else mask.stem
    for table in (mask.with_name(f"{bare}.ctbl"), mask.with_name("labels.ctbl")):
        if table.is_file():
            return read_colour_table(table)
    return ()


def _name_and_path(argument: str, number: int) -> tuple[str, Path]:
    name, sign, rest = argument.partition("=")
    if sign and name and rest and not Path(argument).exists():
        return name, Path(rest)
    path = Path(argument)
    if is_nifti(path) or is_picture(path):
        return source_name(path), path
    return f"mask {number}", path
