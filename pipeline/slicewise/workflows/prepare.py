"""Prepares a data set for training: reads its catalogue and fills the slice cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase, Prepared, collect
from slicewise.dataset.cache import prepare as prepare_cases
from slicewise.dataset.catalogue import Catalogue, SetAside
from slicewise.dataset.layouts import read_catalogue
from slicewise.dataset.work_folder import WorkFolder, require_outside
from slicewise.dataset.workers import chosen_workers
from slicewise.errors import ScanError
from slicewise.progress import SILENT, Progress, tracked
from slicewise.workflows.messages import (
    report_notes,
    report_patients,
    report_set_aside,
    report_warnings,
)

_RENEWED = "damaged slices in the cache, or slices of an earlier version, were made again"


@dataclass(frozen=True)
class PrepareOptions:
    """What to prepare.

    Attributes:
        config: the experiment.
        work: folder of the slice cache.
        workers: scans at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
    """

    config: Config
    work: Path = Path("work")
    workers: int | str | None = None


@dataclass(frozen=True)
class PreparedData:
    """A data set whose slices are in the cache.

    Attributes:
        catalogue: where the scans and labels of each case lie.
        prepared: the slices of the usable cases.
        cache: folder of the slices.
    """

    catalogue: Catalogue
    prepared: Prepared
    cache: Path

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of the usable cases."""
        return tuple(case.name for case in self.prepared.cases)

    @property
    def slices(self) -> int:
        """Number of slices of all cases."""
        return sum(len(case.image) for case in self.prepared.cases)

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Cases that cannot be used, each with its reason."""
        return tuple(self.prepared.set_aside)


def prepare(options: PrepareOptions, progress: Progress = SILENT) -> PreparedData:
    """Turn the scans of a data set into normalised slices; finished scans are never done twice.

    Raises:
        DataError: the data set cannot be trained on as it is.
        OutputError: the work folder cannot be written.
    """
    config, work = options.config, options.work
    if config.data.root is not None:
        require_outside(config.data.root, {"work": work})
    scanner = WorkFolder(work).scanner(config.reading, progress)
    catalogue = read_catalogue(config.data, scanner)
    report_patients(progress, catalogue)
    done = prepare_cases(catalogue, config, work, chosen_workers(options.workers))
    results: dict[str, CachedCase | ScanError] = dict(
        tracked(done, progress, "preprocessing", len(catalogue.labelled))
    )
    prepared = collect(catalogue, results, config, work)
    cache = work / "cache"
    report_notes(progress, catalogue.notes)
    report_set_aside(progress, prepared.set_aside, cache / config.name / "quarantine.jsonl")
    renewed = [case.name for case in prepared.cases if case.is_renewed]
    report_warnings(progress, {name: [_RENEWED] for name in renewed})
    report_warnings(progress, {case.name: case.checked.warnings for case in prepared.cases})
    for text in prepared.notes:
        progress.message(f"warning: {text}")
    return PreparedData(catalogue, prepared, cache)
