"""The layouts that data sets come in: each turns a root into a ``Catalogue``.

To add one, write a function ``(DataSection, root) -> Catalogue``, a line in ``_recognised`` and a
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
    SetAside,
    assemble,
    data_root,
    require_contrasts,
)
from pipeline.dataset.manifest import read_manifest
from pipeline.errors import DataError, file_problem
from pipeline.imaging.nifti import stem
from pipeline.imaging.scan import ScanSource, find_scans, is_scan

PAIRS = (
    ("images", "labels"),
    ("images", "masks"),
    ("image", "label"),
    ("imagesTr", "labelsTr"),
    ("imgs", "masks"),
)
_LABEL_ENDINGS = ("_seg", "_mask", "_label", "_labels", "-seg", "-mask", "-label")


def read_catalogue(data: DataSection) -> Catalogue:
    """Read a data set of any known layout.

    Raises:
        ConfigError, DataError: no root, an unknown layout, missing or unpaired files.
    """
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


def _decathlon(data: DataSection, root: Path) -> Catalogue:
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
    catalogue = assemble(data, root, images, labels)
    gone = (
        SetAside(name, str(root / entry["image"]), "listed, but not there", "add the missing files")
        for name, entry in sorted(entries.items())
        if name not in images and name not in labels
    )
    return replace(catalogue, set_aside=(*catalogue.set_aside, *gone))


def _nnunet(data: DataSection, root: Path) -> Catalogue:
    """``imagesTr/CASE_0000.nii.gz`` with a channel number, ``labelsTr/CASE.nii.gz``."""
    channels: dict[str, dict[int, ScanSource]] = {}
    for path in _scans(root / "imagesTr"):
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
        where = f"{root / 'imagesTr'}, case {case}"
        require_contrasts(data, len(numbered), where)
        if max(numbered) >= len(numbered):
            raise DataError(
                where,
                expected=f"the channels 0 to {len(numbered) - 1}",
                found=", ".join(str(number) for number in sorted(numbered)),
                remedy="add the missing channel, or correct the numbers",
            )
    images = {case: tuple(by[number] for number in sorted(by)) for case, by in channels.items()}
    labels = _by_name(_scans(root / "labelsTr"))
    return assemble(data, root, images, labels)


def _pairs(data: DataSection, root: Path) -> Catalogue:
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
    return assemble(data, root, images, _by_name(_scans(pair[1]), set(images)))


def _dicom(data: DataSection, root: Path) -> Catalogue:
    """Scans without labels: every series, and every NIfTI file, is a case."""
    require_contrasts(data, 1, root)
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
    catalogue = assemble(data, root, images, {})
    return Catalogue(root, catalogue.cases, set_aside)


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
        name = _label_name(stem(path), images)
        if name in named:
            raise DataError(
                path,
                expected=f"one file for {name}",
                found=f"{named[name]} as well",
                remedy="remove or rename one of the two",
            )
        named[name] = path
    return named


def _label_name(name: str, images: Collection[str]) -> str:
    """Name of the image that a label belongs to: the same, or without a usual ending."""
    if name in images:
        return name
    bare = (name.removesuffix(ending) for ending in _LABEL_ENDINGS if name.endswith(ending))
    return next((candidate for candidate in bare if candidate in images), name)
