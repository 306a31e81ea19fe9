"""Reads data sets of all supported layouts.

To add a layout, write a function ``(DataSection, root) -> Listing``, and add a line to
``_recognised`` and to ``_READERS``. Names of DICOM files and folders may be those of patients, so
they are not used as names of cases.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from slicewise.config import DataSection
from slicewise.dataset.catalogue import (
    Catalogue,
    Images,
    Listing,
    SetAside,
    assemble,
    data_root,
    merged_patients,
    require_contrasts,
)
from slicewise.dataset.contrasts import all_in_order
from slicewise.dataset.manifest import read_manifest
from slicewise.dataset.sources import (
    by_name,
    scans_in,
    with_separate_volumes,
    with_series_known,
    without_dicom_names,
)
from slicewise.dataset.unstructured_folder import scans_as_cases, studies_as_cases
from slicewise.errors import DataError, file_problem
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.scan import ScanSource, source_name, volumes_in

PAIRS = (
    ("images", "labels"),
    ("images", "masks"),
    ("image", "label"),
    ("imagesTr", "labelsTr"),
    ("imgs", "masks"),
)
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
    if listing.patients is not None:
        listing = replace(listing, patients=merged_patients(listing.patients, listing.root))
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
    listing = replace(_listing(data, scanner), labels={}, patients=None, loose_labels=())
    return with_series_known(with_separate_volumes(listing), scanner)


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
        return "decathlon" if "training" in _json(root / "dataset.json") else "nnunet"
    if (root / "dataset.csv").exists():
        return "csv"
    return "pair" if _pair(data, root) else "dicom"


def _decathlon(data: DataSection, root: Path) -> Listing:
    path = root / "dataset.json"
    entries = {source_name(Path(entry["image"])): entry for entry in _listed_pairs(path)}
    absent = {
        file
        for entry in entries.values()
        for file in (entry["image"], entry["label"])
        if not (root / file).exists()
    }
    if absent and not data.allow_unpaired:
        raise DataError(
            path,
            expected="all listed files",
            found=f"missing: {', '.join(sorted(absent))}",
            remedy="copy or download the data set again, or set data.allow_unpaired to true",
        )
    images: dict[str, Images] = {}
    labels: dict[str, ScanSource] = {}
    for name, entry in entries.items():
        if entry["image"] not in absent:
            images[name] = _contrasts_in(data, root / entry["image"])
        if entry["label"] not in absent:
            labels[name] = root / entry["label"]
    gone = (
        SetAside(name, str(root / entry["image"]), "listed, but missing", "add the missing files")
        for name, entry in sorted(entries.items())
        if name not in images and name not in labels
    )
    return Listing(root, images, labels, set_aside=tuple(gone))


def _contrasts_in(data: DataSection, path: Path) -> Images:
    """The volumes of a file as contrasts of a case."""
    volumes = volumes_in(path)
    if not volumes:
        return (path,)
    require_contrasts(data, len(volumes), path)
    first, *others = volumes
    return (first, *tuple(others))


def _nnunet(data: DataSection, root: Path) -> Listing:
    """``imagesTr/CASE_0000.nii.gz`` with a channel number, ``labelsTr/CASE.nii.gz``."""
    labels = root / "labelsTr"
    listing = Listing(
        root,
        _numbered_channels(data, root / "imagesTr"),
        by_name(scans_in(labels)) if labels.exists() else {},
    )
    return without_dicom_names(listing)


def _numbered_channels(data: DataSection, folder: Path) -> dict[str, Images]:
    channels: dict[str, dict[int, ScanSource]] = {}
    for path in scans_in(folder):
        case, number = _channel(path)
        if number is None:
            raise DataError(
                path,
                expected="a name that ends in a channel number, such as case_0000.nii.gz",
                found=path.name,
                remedy="rename the file, or use another layout",
            )
        channels.setdefault(case, {})[number] = path
    for case, numbered in channels.items():
        if max(numbered) >= len(data.contrasts):
            raise DataError(
                f"{folder}, case {case}",
                expected=f"the channels 0 to {len(data.contrasts) - 1}: "
                f"{', '.join(data.contrasts)}",
                found=", ".join(str(number) for number in sorted(numbered)),
                remedy="correct the numbers, or list all contrasts in data.contrasts in the "
                "order of the channels",
            )
    found = {
        case: {data.contrasts[number]: source for number, source in numbered.items()}
        for case, numbered in channels.items()
    }
    return all_in_order(found, data, folder)


def _channel(path: Path) -> tuple[str, int | None]:
    """Case and channel number of a name such as ``case_0000.nii.gz``."""
    case, _, number = source_name(path).rpartition("_")
    return (case, int(number)) if len(number) == 4 and number.isdigit() else (path.name, None)


def _pairs(data: DataSection, root: Path) -> Listing:
    pair = _pair(data, root)
    if pair is None:
        raise DataError(
            root,
            expected="two folders, such as images and labels",
            found=", ".join(sorted(path.name for path in root.iterdir())[:8]) or "nothing",
            remedy="set data.images and data.labels_folder",
        )
    require_contrasts(data, 1, root)
    images: dict[str, Images] = {
        name: (source,) for name, source in by_name(scans_in(pair[0])).items()
    }
    labels = by_name(scans_in(pair[1]), set(images))
    return without_dicom_names(Listing(root, images, labels))


def _unstructured(data: DataSection, root: Path, scanner: DicomScanner) -> Listing:
    """Each scan in a folder is a case; with several contrasts, each study."""
    if len(data.contrasts) == 1:
        return scans_as_cases(root, data, scanner)
    if root.is_file():
        require_contrasts(data, len(volumes_in(root)) or 1, root)
        return Listing(root, {source_name(root): _contrasts_in(data, root)}, {})
    if _has_channels(data, root):
        return without_dicom_names(Listing(root, _numbered_channels(data, root), {}))
    return studies_as_cases(root, data, scanner)


def _has_channels(data: DataSection, root: Path) -> bool:
    """Whether names end in channel numbers; numbers in names of folders may be of patients."""
    scans = scans_in(root)
    numbers = [_channel(path)[1] for path in scans]
    if any(path.is_file() for path in scans):
        return any(number is not None for number in numbers)
    few = len(data.contrasts)
    return bool(numbers) and all(number is not None and number < few for number in numbers)


_READERS = {
    "decathlon": _decathlon,
    "nnunet": _nnunet,
    "pair": _pairs,
    "csv": read_manifest,
}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        found = file_problem(error)
    except ValueError as error:
        found = str(error)
    else:
        if isinstance(content, dict):
            return content
        found = "not a JSON object"
    raise DataError(path, expected="a JSON file", found=found, remedy="correct or replace the file")


def _listed_pairs(path: Path) -> list[dict[str, str]]:
    entries = _json(path).get("training")
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get(key), str)
        for entry in entries
        for key in ("image", "label")
    ):
        raise DataError(
            path,
            expected='"training": [{"image": "...", "label": "..."}, ...]',
            found="another structure",
            remedy="correct the file, or set data.layout",
        )
    return entries


def _pair(data: DataSection, root: Path) -> tuple[Path, Path] | None:
    if data.images is not None or data.labels_folder is not None:
        images, labels = root / (data.images or "images"), root / (data.labels_folder or "labels")
        for folder in (images, labels):
            if not folder.is_dir():
                raise DataError(
                    folder,
                    expected="a folder",
                    found="none",
                    remedy="correct data.images and data.labels_folder",
                )
        return images, labels
    folders = ((root / images, root / labels) for images, labels in PAIRS)
    return next((pair for pair in folders if pair[0].is_dir() and pair[1].is_dir()), None)
