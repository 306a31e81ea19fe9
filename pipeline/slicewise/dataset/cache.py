"""Slice cache: preprocessed cases on disk, keyed by the content of their inputs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.config import Config
from slicewise.dataset.cache_entry import CaseFacts, is_whole, store
from slicewise.dataset.case_key import case_key
from slicewise.dataset.case_qc import CheckedCase, check_label, check_volumes, examine
from slicewise.dataset.catalogue import Case, Catalogue, SetAside
from slicewise.dataset.cohort_qc import compare, swapped_folders
from slicewise.dataset.data_set_problem import refuse, require_labels
from slicewise.dataset.mapped_arrays import mapped
from slicewise.dataset.preprocessing import Preprocessing, UnnamedLabelError, to_slices
from slicewise.dataset.twins import drop_looks_of_many
from slicewise.dataset.workers import Workers, run_on_scans
from slicewise.errors import DataError, ScanError, file_problem
from slicewise.imaging.files import private_folder, write_text
from slicewise.quantities import listed


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

    def __reduce__(self) -> tuple[object, ...]:
        # Arrays are mapped from disk by whoever needs them, and are not sent to other processes.
        known = (self.name, self.patient, self.key, self.folder, self.is_renewed)
        return CachedCase, known

    @property
    def image(self) -> NDArray[np.float16]:
        """Normalised slices (D, C, H, W), mapped from disk."""
        return mapped(self.folder / "image.npy")

    @property
    def label(self) -> NDArray[np.uint8]:
        """Classes (D, H, W), mapped from disk."""
        return mapped(self.folder / "label.npy")

    @property
    def points(self) -> NDArray[np.int32]:
        """Sample of the labelled voxels: (N, 4) rows of class, slice, row, column."""
        return mapped(self.folder / "points.npy")

    @cached_property
    def facts(self) -> CaseFacts:
        """What is known about the scan."""
        return CaseFacts.read(self.folder)

    @cached_property
    def checked(self) -> CheckedCase:
        """What was found out about the scan when it was read."""
        return self.facts.of(self.name, self.patient)


@dataclass(frozen=True)
class Prepared:
    """The preprocessed cases of a data set.

    Attributes:
        cases: usable cases, without copies of others.
        set_aside: unusable cases.
        notes: findings about the data set as a whole.
    """

    cases: tuple[CachedCase, ...]
    set_aside: tuple[SetAside, ...]
    notes: tuple[str, ...] = ()

    @property
    def structures_ml(self) -> dict[str, dict[int, float]]:
        """Volume of each structure in ml, by case name and label value."""
        return {case.name: case.checked.structures for case in self.cases}

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
    catalogue: Catalogue, config: Config, work: Path, workers: Workers
) -> Iterator[tuple[str, CachedCase | ScanError]]:
    """Preprocess all labelled cases into the cache; yield the name and result of each.

    Cached cases are only read to compute their checksums; a damaged entry is made again. An
    unusable scan yields its error. Pass the results to ``collect``.

    Raises:
        DataError: no case has a label.
    """
    require_labels(catalogue)
    folder = private_folder(work / "cache")
    tasks = [_Task(case, config, folder) for case in catalogue.labelled]
    for task, result in run_on_scans(_prepare_case, tasks, workers):
        if isinstance(result, CachedCase):
            drop_looks_of_many(result.checked, len(tasks))
        yield task.name, result


def collect(
    catalogue: Catalogue,
    results: dict[str, CachedCase | ScanError],
    config: Config,
    work: Path,
) -> Prepared:
    """Write manifest and quarantine list, and return the usable cases.

    Raises:
        DataError: the data set cannot be used as it is (see ``compare``), label values are not in
            ``data.labels``, or no case is usable.
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
    overview = compare(_checked(cases, errors, catalogue), config.data)
    left_out = overview.duplicates.left_out
    folder = private_folder(work / "cache" / config.name)
    rows = [_manifest_row(case, catalogue, left_out.get(case.name)) for case in cases]
    _write_lines(folder / "manifest.jsonl", rows)
    _write_lines(folder / "quarantine.jsonl", [asdict(item) for item in set_aside])
    refuse(overview.problems, catalogue.root)
    if errors and not cases:
        # Read again, as one case tells more about what is wrong with all than their errors do.
        first_case = examine(catalogue.case(min(errors)), config).case
        refuse(list(filter(None, [swapped_folders([first_case])])), catalogue.root)
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
            found="; ".join(f"{item.name}: {item.reason}" for item in set_aside[:5]),
            remedy="correct the scans",
        )
    used = tuple(case for case in cases if case.name not in left_out)
    return Prepared(used, set_aside, overview.notes)


def _checked(
    cases: Sequence[CachedCase], errors: Mapping[str, ScanError], catalogue: Catalogue
) -> list[CheckedCase]:
    """What was found out about all cases, including unusable ones."""
    checked = [case.checked for case in cases]
    for name, error in errors.items():
        unusable = CheckedCase(name, catalogue.case(name).patient, labelled=True)
        unusable.problems.append(error.reason)
        checked.append(unusable)
    return sorted(checked, key=lambda case: case.name)


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
    """Image, label, and what is known about the scan."""
    case, config = task.case, task.config
    assert case.label is not None
    preprocessing = Preprocessing(config.preprocessing, config.data, config.reading)
    read = preprocessing.read(case.images, case.label)
    assert read.label is not None
    checked = CheckedCase(case.name, case.patient, labelled=True)
    check_volumes(read.volumes, config, checked)
    # Contrasts lie on one grid now, perhaps with a warning.
    placed = read.loaded["image"].meta["warnings"]
    checked.warnings += [text for text in placed if text not in checked.warnings]
    check_label(read.label, config, checked)
    loaded, axis = preprocessing.preprocess(read)
    image = to_slices(loaded["image"].as_tensor(), axis).numpy()  # (D, C, H, W)
    label = to_slices(loaded["label"].as_tensor(), axis)[:, 0].numpy()  # (D, H, W)
    facts = CaseFacts(checked, loaded["image"].meta["measurements"])
    return image.astype(np.float16), label.astype(np.uint8), facts


def _manifest_row(case: CachedCase, catalogue: Catalogue, copy_of: str | None) -> dict[str, Any]:
    source = catalogue.case(case.name)
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
        "warnings": case.checked.warnings,
        "copy_of": copy_of,
    }


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows), private=True)
