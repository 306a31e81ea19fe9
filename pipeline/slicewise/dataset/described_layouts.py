"""Reads data sets that a ``dataset.json`` describes: those of the Decathlon and of nnU-Net."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from slicewise.config import DataSection
from slicewise.dataset.catalogue import Images, Listing, SetAside
from slicewise.dataset.contrasts import all_in_order, require_contrasts
from slicewise.dataset.sources import (
    FolderContent,
    by_name,
    scans_in,
    second_file,
    without_dicom_names,
)
from slicewise.errors import DataError, file_problem
from slicewise.imaging.scan import ScanSource, is_scan_file, source_name, volumes_in
from slicewise.quantities import listed

FILE = "dataset.json"
_TRAINING = '"training": [{"image": "...", "label": "..."}, ...]'
_DATASET = '"dataset": {"CASE": {"images": ["...", ...], "label": "..."}, ...}'


@dataclass(frozen=True)
class _Entry:
    """A case of a list: its images and its label, as they are written."""

    name: str
    images: tuple[str, ...]
    label: str


def described_layout(root: Path) -> str:
    """``decathlon`` or ``nnunet``; nnU-Net of version 1 lists files without channel numbers.

    Raises:
        DataError: the file cannot be read, or its list is of another form.
    """
    content = _json(root / FILE)
    if "training" not in content:
        return "nnunet"
    images = [root / entry.images[0] for entry in _training(root / FILE, content)]
    has_channels = any(not path.exists() and _first_channel(path).exists() for path in images)
    return "nnunet" if has_channels else "decathlon"


def read_decathlon(data: DataSection, root: Path) -> Listing:
    """Read the list ``training``: an image, whose volumes are the contrasts, and a label.

    Raises:
        DataError: listed files are missing, or two of them have one name.
    """
    path = root / FILE
    entries = _training(path, _json(path))
    _require_distinct(path, entries)
    absent = _absent(path, entries, data)
    images = {
        entry.name: contrasts_in(data, root / entry.images[0])
        for entry in entries
        if entry.images[0] not in absent
    }
    return _listing(root, entries, images, absent)


def read_nnunet(data: DataSection, root: Path) -> Listing:
    """Read ``imagesTr/CASE_0000.nii.gz`` with a channel number, and ``labelsTr/CASE.nii.gz``.

    A ``dataset.json`` of version 2 may list the files of each case instead.

    Raises:
        DataError: names without channel, missing files, or a file format that is not read.
    """
    described = _json(root / FILE) if (root / FILE).exists() else {}
    _require_readable(root / FILE, described)
    if "dataset" in described:
        return _listed_channels(data, root, described["dataset"])
    of_images, labels = scans_in(root / "imagesTr"), root / "labelsTr"
    of_labels = scans_in(labels) if labels.exists() else FolderContent(())
    listing = Listing(
        root,
        numbered_channels(data, root / "imagesTr", of_images.scans),
        by_name(of_labels.scans),
        set_aside=(*of_images.set_aside, *of_labels.set_aside),
        label_place=labels if labels.exists() else None,
        notes=(*of_images.notes, *of_labels.notes),
    )
    return without_dicom_names(listing)


def has_channels(images: Path, labels: Path) -> bool:
    """Whether images have channel numbers after the names of their labels, without a list."""
    of_labels = {source_name(path) for path in scans_in(labels).scans}
    channels = [channel_of(path) for path in scans_in(images).scans]
    return bool(channels) and all(
        number is not None and case in of_labels for case, number in channels
    )


def _listed_channels(data: DataSection, root: Path, content: object) -> Listing:
    path = root / FILE
    entries = []
    for name, entry in content.items() if isinstance(content, dict) else ():
        images = entry.get("images") if isinstance(entry, dict) else None
        label = entry.get("label") if isinstance(entry, dict) else None
        if not _are_texts(images) or not isinstance(label, str):
            raise _other_structure(path, _DATASET)
        entries.append(_Entry(name, tuple(images), label))
    if not entries:
        raise _other_structure(path, _DATASET)
    absent = _absent(path, entries, data)
    of_case: dict[str, Images] = {}
    for entry in entries:
        require_contrasts(data, len(entry.images), f"{path}, case {entry.name}")
        if not absent.intersection(entry.images):
            first, *others = (root / image for image in entry.images)
            of_case[entry.name] = (first, *others)
    return _listing(root, entries, of_case, absent)


def _listing(
    root: Path, entries: Iterable[_Entry], images: dict[str, Images], absent: set[str]
) -> Listing:
    labels: dict[str, ScanSource] = {
        entry.name: root / entry.label for entry in entries if entry.label not in absent
    }
    gone = [
        SetAside(entry.name, str(root / image), "listed, but missing", "add the missing files")
        for entry in sorted(entries, key=lambda entry: entry.name)
        for image in entry.images[:1]
        if entry.name not in images and entry.name not in labels
    ]
    return Listing(root, images, labels, set_aside=tuple(gone))


def contrasts_in(data: DataSection, path: Path) -> Images:
    """The volumes of a file as contrasts of a case.

    Raises:
        UsageError: another number of volumes than of contrasts.
    """
    volumes = volumes_in(path)
    if not volumes:
        return (path,)
    require_contrasts(data, len(volumes), path)
    first, *others = volumes
    return (first, *others)


def numbered_channels(data: DataSection, folder: Path, scans: Iterable[Path]) -> dict[str, Images]:
    """Case to its contrasts, from files with channel numbers.

    Raises:
        DataError: a name without channel number, or other channels than contrasts.
    """
    channels: dict[str, dict[int, ScanSource]] = {}
    for path in scans:
        case, number = channel_of(path)
        if number is None:
            raise DataError(
                path,
                expected="a name that ends in a channel number, such as case_0000.nii.gz",
                found=path.name,
                remedy="rename the file, or use another layout",
            )
        numbered = channels.setdefault(case, {})
        if number in numbered:
            raise second_file(path, f"channel {number} of {case}", numbered[number])
        numbered[number] = path
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


def channel_of(path: Path) -> tuple[str, int | None]:
    """Case and channel number of a name such as ``case_0000.nii.gz``."""
    case, _, number = source_name(path).rpartition("_")
    return (case, int(number)) if len(number) == 4 and number.isdigit() else (path.name, None)


def _first_channel(path: Path) -> Path:
    name = source_name(path)
    return path.with_name(f"{name}_0000{path.name.removeprefix(name)}")


def _require_distinct(path: Path, entries: Iterable[_Entry]) -> None:
    """Refuse two cases of one name, one of which would be lost."""
    image_of: dict[str, str] = {}
    for entry in entries:
        if entry.name in image_of:
            raise DataError(
                path,
                expected="images with different names, which are those of the cases",
                found=f"{image_of[entry.name]} and {entry.images[0]}",
                remedy="rename them, or write a CSV manifest with a column case",
            )
        image_of[entry.name] = entry.images[0]


def _absent(path: Path, entries: Iterable[_Entry], data: DataSection) -> set[str]:
    """Listed files that are missing.

    Raises:
        DataError: there are some, and ``data.allow_unpaired`` is false.
    """
    files = {file for entry in entries for file in (*entry.images, entry.label)}
    absent = {file for file in files if not (path.parent / file).exists()}
    if absent and not data.allow_unpaired:
        raise DataError(
            path,
            expected="all listed files, relative to the folder of this file",
            found=f"missing: {listed(sorted(absent))}",
            remedy="copy or download the data set again, correct the paths, or set "
            "data.allow_unpaired to true",
        )
    return absent


def _require_readable(path: Path, described: Mapping[str, Any]) -> None:
    ending = described.get("file_ending")
    if isinstance(ending, str) and not is_scan_file(Path(f"case{ending}")):
        raise DataError(
            f"{path}: file_ending",
            expected=".nii.gz, .nii, .nrrd, .png or .tif",
            found=ending,
            remedy="convert the images and labels to NIfTI",
        )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        found = file_problem(error)
    except UnicodeDecodeError:
        found = "letters in another encoding than UTF-8"
    except (ValueError, RecursionError) as error:
        found = str(error)
    else:
        if isinstance(content, dict):
            return content
        found = "not a JSON object"
    raise DataError(path, expected="a JSON file", found=found, remedy="correct or replace the file")


def _training(path: Path, content: Mapping[str, Any]) -> list[_Entry]:
    entries = content.get("training")
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and _are_texts([entry.get("image"), entry.get("label")])
        for entry in entries
    ):
        raise _other_structure(path, _TRAINING)
    return [
        _Entry(source_name(Path(entry["image"])), (entry["image"],), entry["label"])
        for entry in entries
    ]


def _are_texts(values: object) -> TypeGuard[list[str]]:
    return isinstance(values, list) and bool(values) and all(isinstance(v, str) for v in values)


def _other_structure(path: Path, expected: str) -> DataError:
    return DataError(
        path,
        expected=expected,
        found="another structure",
        remedy="correct the file, or set data.layout",
    )
