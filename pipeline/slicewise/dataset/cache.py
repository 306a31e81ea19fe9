"""Slice cache: preprocessed cases on disk, keyed by the content of their inputs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.config import Config
from slicewise.dataset.cache_entry import CaseFacts, is_whole, store
from slicewise.dataset.case_key import case_key
from slicewise.dataset.catalogue import Case, Catalogue, SetAside, listed
from slicewise.dataset.preprocessing import Preprocessing, UnnamedLabelError, to_slices
from slicewise.dataset.worker_pool import run_on_scans
from slicewise.errors import DataError, ScanError, file_problem
from slicewise.imaging.files import private_folder, write_text


@dataclass(frozen=True)
class CachedCase:
    """One preprocessed case.

    Attributes:
        name: of the case.
        patient: of the case.
        key: digest of sources, reading and preprocessing sections and format version.
        folder: of the arrays.
        is_renewed: whether an entry was there and had to be made again.
    """

    name: str
    patient: str
    key: str
    folder: Path
    is_renewed: bool = False

    @cached_property
    def image(self) -> NDArray[np.float16]:
        """Normalised slices (D, C, H, W), mapped from disk."""
        array: NDArray[np.float16] = np.load(self.folder / "image.npy", mmap_mode="r")
        return array

    @cached_property
    def label(self) -> NDArray[np.uint8]:
        """Classes (D, H, W), mapped from disk."""
        array: NDArray[np.uint8] = np.load(self.folder / "label.npy", mmap_mode="r")
        return array

    @cached_property
    def points(self) -> NDArray[np.int32]:
        """Sample of the labelled voxels: (N, 4) rows of class, slice, row, column."""
        array: NDArray[np.int32] = np.load(self.folder / "points.npy")
        return array

    @cached_property
    def facts(self) -> CaseFacts:
        """Properties of the scan."""
        return CaseFacts.read(self.folder)

    @property
    def warnings(self) -> list[str]:
        """Warnings from reading the scan."""
        return self.facts.warnings


@dataclass(frozen=True)
class Prepared:
    """The preprocessed cases of a data set."""

    cases: tuple[CachedCase, ...]
    set_aside: tuple[SetAside, ...]

    @property
    def structures_ml(self) -> dict[str, dict[int, float]]:
        """Volume of each structure in ml, by case name and label value."""
        return {case.name: case.facts.structures_ml for case in self.cases}

    def chosen(self, names: Sequence[str]) -> list[CachedCase]:
        """Cases by name, in the given order; cases that were set aside are skipped."""
        by_name = {case.name: case for case in self.cases}
        return [by_name[name] for name in names if name in by_name]


@dataclass(frozen=True)
class _Task:
    """What a worker needs for one case."""

    case: Case
    config: Config
    root: Path

    @property
    def name(self) -> str:
        return self.case.name


def prepare(
    catalogue: Catalogue, config: Config, work: Path, workers: int
) -> Iterator[tuple[str, CachedCase | ScanError]]:
    """Preprocess all labelled cases into the cache; yield the name and result of each.

    Cached cases are only read to compute their checksums; a damaged entry is made again. An
    unusable scan yields its error. Pass the results to ``collect``.
    """
    folder = private_folder(work / "cache")
    tasks = [_Task(case, config, folder) for case in catalogue.labelled]
    for task, result in run_on_scans(_prepare_case, tasks, workers):
        yield task.name, result


def collect(
    catalogue: Catalogue,
    results: dict[str, CachedCase | ScanError],
    config: Config,
    work: Path,
) -> Prepared:
    """Write manifest and quarantine list, and return the usable cases.

    Raises:
        DataError: two cases are the same scan, label values are not in ``data.labels``, or no case
            is usable.
    """
    cases = sorted(
        (item for item in results.values() if isinstance(item, CachedCase)),
        key=lambda case: case.name,
    )
    errors = {name: item for name, item in results.items() if isinstance(item, ScanError)}
    set_aside = (
        *catalogue.set_aside,
        *(SetAside.from_error(name, errors[name]) for name in sorted(errors)),
    )
    folder = private_folder(work / "cache" / config.name)
    rows = [_manifest_row(case, catalogue.case(case.name)) for case in cases]
    _write_lines(folder / "manifest.jsonl", rows)
    _write_lines(folder / "quarantine.jsonl", [asdict(item) for item in set_aside])
    _require_different(catalogue, cases)
    unnamed = {
        name: error for name, error in errors.items() if isinstance(error, UnnamedLabelError)
    }
    if unnamed:
        first = next(iter(unnamed.values()))
        raise DataError(
            f"{catalogue.root}: {listed(sorted(unnamed))}",
            expected=first.expected,
            found=first.found,
            remedy=first.remedy,
        )
    if not cases:
        raise DataError(
            catalogue.root,
            expected="at least one usable labelled case",
            found="; ".join(f"{item.name}: {item.reason}" for item in set_aside[:5]) or "no labels",
            remedy="correct the scans, or check where labels are expected",
        )
    return Prepared(tuple(cases), set_aside)


def _require_different(catalogue: Catalogue, cases: Sequence[CachedCase]) -> None:
    """Refuse duplicates, which could be in training and validation data."""
    by_key: dict[str, str] = {}
    for case in cases:
        other = by_key.setdefault(case.key, case.name)
        if other != case.name:
            raise DataError(
                f"{catalogue.root}: {case.name}",
                expected="no duplicates",
                found=f"the same image and label as {other}",
                remedy="remove one of the two",
            )


def _prepare_case(task: _Task) -> CachedCase:
    try:
        key = case_key(task.case, task.config)
    except OSError as error:
        raise ScanError(
            error.filename or task.name,
            expected="a readable file",
            found=file_problem(error),
            remedy="correct its path or permissions",
        ) from None
    folder = task.root / key[:2] / key
    found = os.path.lexists(folder)
    is_renewed = found and not is_whole(folder)
    if is_renewed:
        _remove(folder)
    if is_renewed or not found:
        store(folder, *_slices(task))
    return CachedCase(task.case.name, task.case.patient, key, folder, is_renewed)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def _slices(task: _Task) -> tuple[NDArray[np.float16], NDArray[np.uint8], CaseFacts]:
    """Image, label, and properties of the scan."""
    case, config = task.case, task.config
    assert case.label is not None
    preprocessing = Preprocessing(config.preprocessing, config.data, config.reading)
    loaded, axis = preprocessing.load(case.images, case.label)
    image = to_slices(loaded["image"].as_tensor(), axis).numpy()  # (D, C, H, W)
    label = to_slices(loaded["label"].as_tensor(), axis)[:, 0].numpy()  # (D, H, W)
    warnings = [
        *loaded["image"].meta["warnings"],
        *(f"label: {text}" for text in loaded["label"].meta["warnings"]),
    ]
    present = [number for number, source in enumerate(case.images) if source is not None]
    flat = np.ptp(image[:, present], axis=(2, 3)) == 0  # (D, C)
    if flat.all(axis=0).any():
        warnings.append("every voxel has the same value")
    elif flat.any():
        warnings.append("some slices are constant")
    if not label.any():
        warnings.append("the label is empty")
    facts = CaseFacts(
        warnings, loaded["label"].meta["structures_ml"], loaded["image"].meta["measurements"]
    )
    return image.astype(np.float16), label.astype(np.uint8), facts


def _manifest_row(case: CachedCase, source: Case) -> dict[str, Any]:
    depth, channels, height, width = case.image.shape
    return {
        "name": case.name,
        "patient": case.patient,
        "images": [None if image is None else str(image) for image in source.images],
        "key": case.key,
        "slices": depth,
        "channels": channels,
        "height": height,
        "width": width,
        "labelled_voxels": int(np.count_nonzero(case.label)),
        "warnings": case.warnings,
    }


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows), private=True)
