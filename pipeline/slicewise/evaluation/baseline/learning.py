"""Learns priors from training cases: one of all patients, and one without each patient group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.catalogue import Case
from slicewise.dataset.workers import Workers, run_on_all_scans
from slicewise.evaluation.baseline.prior import ALIGNMENTS, Prior, load_prior
from slicewise.evaluation.baseline.scans import Floats, TrainingCase, exact
from slicewise.evaluation.baseline.template_matching import FITS, Template, box_of
from slicewise.progress import Progress

GROUPS = 5
"""Parts that the patients are divided into; the prior of a part is made of the others."""


@dataclass(frozen=True)
class LocatedCase:
    """A training case and what is known of it before there is a prior.

    Attributes:
        case: with its geometry.
        sizes: voxels of the box of each fit, (fits, 3).
        present: whether it has each structure, (K,).
    """

    case: TrainingCase
    sizes: NDArray[np.float64]
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class LearnedPriors:
    """Priors of a training set.

    Attributes:
        cases: in the order of their names.
        prior: of all cases.
        held_out: for each case the file of a prior of other patients' cases.
        is_of_one_patient: then there are no other patients, and every prior is of all cases.
    """

    cases: tuple[LocatedCase, ...]
    prior: Prior
    held_out: Mapping[str, Path]
    is_of_one_patient: bool


@dataclass(frozen=True)
class _Source:
    """What a worker needs to locate a case."""

    cached: CachedCase
    case: Case
    config: Config

    @property
    def name(self) -> str:
        return self.cached.name


@dataclass(frozen=True)
class _Contribution:
    """What a worker needs to align a case with the templates."""

    case: TrainingCase
    structure_count: int
    prior: Path
    is_matched: bool

    @property
    def name(self) -> str:
        return self.case.name


class _Sums:
    """What the cases of each group of patients add up to, alignment by alignment."""

    def __init__(self, groups: int) -> None:
        self._sums: list[list[NDArray[np.float64]]] = [[] for _ in range(groups)]
        self._counts = [0] * groups

    def add(self, group: int, aligned: Sequence[Floats]) -> None:
        values = [exact(item) for item in aligned]
        known = self._sums[group]
        self._sums[group] = [a + b for a, b in zip(known, values, strict=True)] if known else values
        self._counts[group] += 1

    def means(self, without: int | None) -> tuple[Floats, ...]:
        """Means over all groups but one; a single group cannot be left out."""
        groups = [number for number in range(len(self._counts)) if number != without] or [0]
        count = sum(self._counts[group] for group in groups)
        placed = zip(*(self._sums[group] for group in groups), strict=True)
        return tuple((sum(sums) / count).astype(np.float32) for sums in placed)


def learn(
    cases: Sequence[tuple[CachedCase, Case]],
    config: Config,
    folder: Path,
    workers: Workers,
    progress: Progress,
) -> LearnedPriors:
    """Make the priors of training cases.

    Args:
        cases: at least one, in the cache and in the catalogue.
        config: contrasts, structures and preprocessing.
        folder: takes the priors that the workers share; the caller removes it.
        workers: see ``run_on_scans``.
        progress: receives how far the work is.

    Raises:
        ScanError: a case cannot be read any more.
    """
    sources = [_Source(cached, case, config) for cached, case in cases]
    done = run_on_all_scans(_locate, sources, workers, progress, "measuring")
    located = sorted((result for _, result in done), key=lambda item: item.case.name)
    group_of = _groups([item.case for item in located])
    groups = sorted(set(group_of.values()))
    templates = tuple(
        Template.over(
            np.array([item.sizes[number] for item in located]),
            np.array([item.case.spacing_mm for item in located]),
        )
        for number in range(len(FITS))
    )
    contrasts = len(config.data.contrasts)
    means: dict[int | None, tuple[Floats, ...]] = dict.fromkeys([None, *groups], ())
    for is_matched in (False, True):
        files = _saved(means, templates, contrasts, folder / f"{is_matched}")
        contributions = [
            _Contribution(
                item.case, len(config.data.labels), files[group_of[item.case.name]], is_matched
            )
            for item in located
        ]
        sums = _Sums(len(groups))
        description = "matching" if is_matched else "averaging"
        done_tasks = run_on_all_scans(_align, contributions, workers, progress, description)
        for task, aligned in done_tasks:
            sums.add(group_of[task.name], aligned)
        means = {group: (*known, *sums.means(group)) for group, known in means.items()}
    files = _saved(means, templates, contrasts, folder / "held-out")
    return LearnedPriors(
        tuple(located),
        Prior(templates, means[None], contrasts),
        {name: files[group] for name, group in group_of.items()},
        len({item.case.patient for item in located}) == 1,
    )


def _locate(source: _Source) -> LocatedCase:
    case = TrainingCase.located(source.cached, source.case, source.config)
    scan = case.scan()
    boxes = [box_of(scan, fit) for fit in FITS]
    structures = case.structures(len(source.config.data.labels))
    present = np.array([structure.any() for structure in structures])
    return LocatedCase(case, np.array([last - first + 1 for first, last in boxes]), present)


def _align(task: _Contribution) -> tuple[Floats, ...]:
    prior, scan = load_prior(task.prior), task.case.scan()
    structures = task.case.structures(task.structure_count)
    return tuple(
        prior.on_template(scan, structures, alignment)
        for alignment in ALIGNMENTS
        if alignment.is_matched == task.is_matched
    )


def _groups(cases: Sequence[TrainingCase]) -> dict[str, int]:
    """Group of each case; all cases of a patient are in one."""
    patients = sorted({case.patient for case in cases})
    return {case.name: patients.index(case.patient) % GROUPS for case in cases}


def _saved(
    means: Mapping[int | None, tuple[Floats, ...]],
    templates: tuple[Template, ...],
    contrast_count: int,
    folder: Path,
) -> dict[int | None, Path]:
    """Files from which workers read the prior without each group."""
    folder.mkdir()
    files = {group: folder / f"without-{group}" for group in means}
    for group, file in files.items():
        Prior(templates, means[group], contrast_count).save(file)
    return files
