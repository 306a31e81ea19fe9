"""The layouts that data sets come in: each turns a root into a ``Listing``.

To add one, write a function ``(DataSection, root) -> Listing``, a line in ``_recognised`` and a
line in ``_READERS``.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config import DataSection
from pipeline.dataset.catalogue import (
    Catalogue,
    Listing,
    SetAside,
    assemble,
    data_root,
    label_name,
    merged_patients,
    require_contrasts,
)
from pipeline.dataset.manifest import read_manifest
from pipeline.errors import DataError, file_problem
from pipeline.imaging.nifti.reading import stem
from pipeline.imaging.scan import ScanSource, find_scans, is_scan

PAIRS = (
    ("images", "labels"),
    ("images", "masks"),
    ("image", "label"),
    ("imagesTr", "labelsTr"),
    ("imgs", "masks"),
)


def read_catalogue(data: DataSection) -> Catalogue:
    """Read a data set of any known layout.

    Raises:
        ConfigError, DataError: no root, an unknown layout, missing or unpaired files.
    """
    listing = _listing(data)
    patients = listing.patients
    if patients is not None:
        patients = merged_patients(patients, listing.root)
    catalogue = assemble(data, listing.root, listing.images, listing.labels, patients)
    return replace(catalogue, set_aside=(*catalogue.set_aside, *listing.set_aside))


def read_images(root: Path, contrasts: tuple[str, ...]) -> Listing:
    """Read the images of any known layout, with or without labels; patients do not matter.

    Raises:
        ScanError, DataError: nothing there, missing files, another number of contrasts.
    """
    listing = _listing(DataSection(root=root, contrasts=contrasts, allow_unpaired=True))
    return replace(listing, labels={}, patients=None)


def _listing(data: DataSection) -> Listing:
    root = data_root(data)
    layout = _recognised(data, root) if data.layout == "auto" else data.layout
    return _READERS[layout](data, root)


def _recognised(data: DataSection, root: Path) -> str:
    if root.is_file():
        return "csv"
    if data.images is not None or data.labels_folder is not None:
        return "pair"
    if (root / "dataset.json").exists():
        return "decathlon" if "training" in _json(root / "dataset.json") else "nnunet"
    if (root / "dataset.csv").exists():
        return "csv"
    return "pair" if _pair(data, root) else "dicom"


def _decathlon(data: DataSection, root: Path) -> Listing:
    path = root / "dataset.json"
    entries = {stem(Path(entry["image"])): entry for entry in _listed_pairs(path)}
    absent = {
        file
        for entry in entries.values()
        for file in (entry["image"], entry["label"])
        if not (root / file).exists()
    }
    if absent and not data.allow_unpaired:
        raise DataError(
            path,
            expected="every listed file",
            found=f"missing: {', '.join(sorted(absent))}",
            remedy="copy or download the data set again, or data.allow_unpaired=true",
        )
    require_contrasts(data, 1, path)
    images: dict[str, tuple[ScanSource, ...]] = {}
    labels: dict[str, ScanSource] = {}
    for name, entry in entries.items():
        if entry["image"] not in absent:
            images[name] = (root / entry["image"],)
        if entry["label"] not in absent:
            labels[name] = root / entry["label"]
    gone = (
        SetAside(name, str(root / entry["image"]), "listed, but not there", "add the missing files")
        for name, entry in sorted(entries.items())
        if name not in images and name not in labels
    )
    return Listing(root, images, labels, set_aside=tuple(gone))


def _nnunet(data: DataSection, root: Path) -> Listing:
    """``imagesTr/CASE_0000.nii.gz`` with a channel number, ``labelsTr/CASE.nii.gz``."""
    labels = root / "labelsTr"
    return Listing(
        root,
        _numbered_channels(data, root / "imagesTr"),
        _by_name(_scans(labels)) if labels.exists() else {},
    )


def _numbered_channels(data: DataSection, folder: Path) -> dict[str, tuple[ScanSource, ...]]:
    channels: dict[str, dict[int, ScanSource]] = {}
    for path in _scans(folder):
        case, _, number = stem(path).rpartition("_")
        if len(number) != 4 or not number.isdigit():
            raise DataError(
                path,
                expected="a name that ends in a channel number, such as case_0000.nii.gz",
                found=path.name,
                remedy="rename the file, or use another layout",
            )
        channels.setdefault(case, {})[int(number)] = path
    for case, numbered in channels.items():
        where = f"{folder}, case {case}"
        require_contrasts(data, len(numbered), where)
        if max(numbered) >= len(numbered):
            raise DataError(
                where,
                expected=f"the channels 0 to {len(numbered) - 1}",
                found=", ".join(str(number) for number in sorted(numbered)),
                remedy="add the missing channel, or correct the numbers",
            )
    return {case: tuple(by[number] for number in sorted(by)) for case, by in channels.items()}


def _pairs(data: DataSection, root: Path) -> Listing:
    pair = _pair(data, root)
    if pair is None:
        raise DataError(
            root,
            expected="two folders, such as images and labels",
            found=", ".join(sorted(path.name for path in root.iterdir())[:8]) or "nothing",
            remedy="name them with data.images and data.labels_folder",
        )
    require_contrasts(data, 1, root)
    images: dict[str, tuple[ScanSource, ...]] = {
        name: (source,) for name, source in _by_name(_scans(pair[0])).items()
    }
    return Listing(root, images, _by_name(_scans(pair[1]), set(images)))


def _dicom(data: DataSection, root: Path) -> Listing:
    """Scans without labels: every series, and every NIfTI file, is a case."""
    if len(data.contrasts) > 1:
        return Listing(root, _numbered_channels(data, root), {})
    found = find_scans(root)
    images: dict[str, tuple[ScanSource, ...]] = {
        name: (source,) for name, source in found.sources.items()
    }
    set_aside = tuple(SetAside.from_error(Path(e.where).name, e) for e in found.set_aside)
    if not images:
        raise DataError(
            root,
            expected="at least one usable scan",
            found="; ".join(item.reason for item in set_aside[:3]),
            remedy="see the reasons",
        )
    return Listing(root, images, {}, set_aside=set_aside)


_READERS = {
    "decathlon": _decathlon,
    "nnunet": _nnunet,
    "pair": _pairs,
    "csv": read_manifest,
    "dicom": _dicom,
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
        found = "no JSON object"
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


def _scans(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(
            folder, expected="a folder", found="none", remedy="correct data.root or data.layout"
        )
    return sorted(path for path in folder.iterdir() if is_scan(path))


def _by_name(paths: list[Path], images: Collection[str] = ()) -> dict[str, ScanSource]:
    """Case name to path; the name of a label may lose its ending to find one of ``images``."""
    named: dict[str, ScanSource] = {}
    for path in paths:
        name = label_name(stem(path), images)
        if name in named:
            raise DataError(
                path,
                expected=f"one file for {name}",
                found=f"{named[name]} as well",
                remedy="remove or rename one of the two",
            )
        named[name] = path
    return named
