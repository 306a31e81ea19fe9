"""Reads data sets of all supported layouts.

To add a layout, write a function ``(DataSection, root) -> Listing``, and add a line to
``_recognised`` and to ``_READERS``. Names of DICOM files and folders may be those of patients, so
they are not used as names of cases.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from slicewise.config import DataSection
from slicewise.dataset.catalogue import (
    Catalogue,
    Images,
    Listing,
    assemble,
    data_root,
)
from slicewise.dataset.contrasts import require_contrasts
from slicewise.dataset.described_layouts import (
    channel_of,
    contrasts_in,
    described_layout,
    has_channels,
    numbered_channels,
    read_decathlon,
    read_nnunet,
)
from slicewise.dataset.manifest import read_manifest
from slicewise.dataset.sources import (
    FolderContent,
    by_name,
    scans_in,
    with_separate_volumes,
    with_series_known,
    without_dicom_names,
)
from slicewise.dataset.studies import studies_as_cases
from slicewise.dataset.unstructured_folder import scans_as_cases
from slicewise.errors import DataError, SlicewiseError
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.scan import source_name, volumes_in

PAIRS = (
    ("images", "labels"),
    ("images", "masks"),
    ("image", "label"),
    ("imagesTr", "labelsTr"),
    ("imgs", "masks"),
    ("imgs", "labels"),
    ("images", "segmentations"),
    ("image", "mask"),
)
_FOLDERS_ABOVE = 2
"""A scan lies at most so deep in a data set with images and labels."""
_PLAIN_SCANNER = DicomScanner()


def read_catalogue(data: DataSection, scanner: DicomScanner = _PLAIN_SCANNER) -> Catalogue:
    """Read a data set of any known layout.

    Args:
        data: root, layout and patients.
        scanner: searches for DICOM in the layout ``dicom``.

    Raises:
        ConfigError, DataError: no root, an unknown layout, missing or unpaired files.
    """
    listing = with_series_known(with_separate_volumes(_listing(data, scanner)), scanner)
    catalogue = assemble(data, listing)
    return replace(catalogue, set_aside=(*catalogue.set_aside, *listing.loose_labels))


def read_images(
    root: Path,
    contrasts: tuple[str, ...],
    scanner: DicomScanner = _PLAIN_SCANNER,
    missing_contrasts: Literal["refuse", "zero"] = "refuse",
) -> Listing:
    """Read the images of any known layout, with or without labels; patients are ignored.

    Raises:
        ScanError, DataError: no images, missing files, or a wrong number of contrasts.
    """
    data = DataSection(
        root=root,
        contrasts=contrasts,
        missing_contrasts=missing_contrasts,
        allow_unpaired=True,
    )
    listing = _listing(data, scanner)
    listing = replace(listing, labels={}, patients=None, loose_labels=(), label_place=None)
    return with_series_known(with_separate_volumes(listing), scanner)


def data_sets_around(*paths: Path) -> list[Path]:
    """Folders of data sets with a known layout that paths lead into; no file of them is read.

    A prediction is given ``data/images`` or a single scan: the labels next to it are reference.
    """
    found = []
    for path in dict.fromkeys(item for given in paths for item in _up(given.resolve())):
        if path.is_dir():
            with suppress(SlicewiseError, OSError):
                if _recognised(DataSection(root=path), path) != "dicom":
                    found.append(path)
    return found


def _up(path: Path) -> tuple[Path, ...]:
    return (path, *path.parents[:_FOLDERS_ABOVE])


def _listing(data: DataSection, scanner: DicomScanner) -> Listing:
    root = data_root(data)
    layout = _recognised(data, root) if data.layout == "auto" else data.layout
    return _unstructured(data, root, scanner) if layout == "dicom" else _READERS[layout](data, root)


def _recognised(data: DataSection, root: Path) -> str:
    if root.is_file():
        return "csv" if root.suffix.lower() == ".csv" else "dicom"
    if data.images is not None or data.labels_folder is not None:
        return "pair"
    if (root / "dataset.json").exists():
        return described_layout(root)
    if (root / "dataset.csv").exists():
        return "csv"
    pair = _pair(data, root)
    if pair and pair[0].name == "imagesTr" and has_channels(*pair):
        return "nnunet"
    return "pair" if pair else "dicom"


def _pairs(data: DataSection, root: Path) -> Listing:
    pair = _pair(data, root)
    if pair is None:
        raise DataError(
            root,
            expected="two folders, such as images and labels",
            found=", ".join(sorted(path.name for path in root.iterdir())[:8]) or "an empty folder",
            remedy="set data.images and data.labels_folder",
        )
    require_contrasts(data, 1, root)
    of_images, of_labels = scans_in(pair[0]), scans_in(pair[1])
    images: dict[str, Images] = {
        name: (source,) for name, source in by_name(of_images.scans).items()
    }
    listing = Listing(
        root,
        images,
        by_name(of_labels.scans, set(images)),
        set_aside=(*of_images.set_aside, *of_labels.set_aside),
        label_place=pair[1],
        notes=(*of_images.notes, *of_labels.notes),
    )
    return without_dicom_names(listing)


def _unstructured(data: DataSection, root: Path, scanner: DicomScanner) -> Listing:
    """Each scan in a folder is a case; with several contrasts, each study."""
    if len(data.contrasts) == 1:
        return scans_as_cases(root, data, scanner)
    if root.is_file():
        require_contrasts(data, len(volumes_in(root)) or 1, root)
        return Listing(root, {source_name(root): contrasts_in(data, root)}, {})
    content = scans_in(root)
    if _has_channels(data, content):
        images = numbered_channels(data, root, content.scans)
        listing = Listing(root, images, {}, set_aside=content.set_aside, notes=content.notes)
        return without_dicom_names(listing)
    return studies_as_cases(root, data, scanner)


def _has_channels(data: DataSection, content: FolderContent) -> bool:
    """Whether names end in channel numbers; numbers in names of folders may be of patients."""
    numbers = [channel_of(path)[1] for path in content.scans]
    if any(path.is_file() for path in content.scans):
        return any(number is not None for number in numbers)
    few = len(data.contrasts)
    return bool(numbers) and all(number is not None and number < few for number in numbers)


_READERS = {
    "decathlon": read_decathlon,
    "nnunet": read_nnunet,
    "pair": _pairs,
    "csv": read_manifest,
}


def _pair(data: DataSection, root: Path) -> tuple[Path, Path] | None:
    if data.images is not None or data.labels_folder is not None:
        images, labels = root / (data.images or "images"), root / (data.labels_folder or "labels")
        for folder in (images, labels):
            if not folder.is_dir():
                raise DataError(
                    folder,
                    expected="a folder",
                    found="no such folder",
                    remedy="correct data.images and data.labels_folder",
                )
        return images, labels
    # Windows and macOS do not distinguish case.
    folders = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    pairs = ((folders.get(images.lower()), folders.get(labels.lower())) for images, labels in PAIRS)
    return next(((images, labels) for images, labels in pairs if images and labels), None)
