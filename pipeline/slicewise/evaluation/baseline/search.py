"""Searches the recipe of each structure that scores best on the training cases.

Thresholds are tried exhaustively by their counts; the best few of them, each of another setting,
are tried with every morphology.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.dataset.workers import Workers, run_on_all_scans
from slicewise.evaluation.baseline.learning import LearnedPriors, LocatedCase
from slicewise.evaluation.baseline.morphology import MORPHOLOGIES, all_morphed
from slicewise.evaluation.baseline.prior import load_prior
from slicewise.evaluation.baseline.recipe import Recipe, Threshold
from slicewise.evaluation.baseline.scans import TrainingCase, exact
from slicewise.evaluation.baseline.tables import settings, tabulate
from slicewise.progress import Progress

SEARCH_CASES = 100
"""Training cases that the search looks at, for each structure."""
FEWEST_SEARCH_CASES = 6
"""As many are looked at however large they are."""
SEARCH_VOXELS = 30_000_000
"""Voxels of all these cases and structures together: some minutes of work."""
FINALISTS = 4
"""Thresholds of a structure that are tried with every morphology."""

Finalists = tuple[tuple[Threshold, ...], ...]


@dataclass(frozen=True)
class _Trial:
    """What a worker needs to try recipes on a case."""

    case: TrainingCase
    structure_count: int
    prior: Path
    finalists: Finalists = ()

    @property
    def name(self) -> str:
        return self.case.name


class _Mean:
    """Mean of tables of Dice over the cases where each value is defined."""

    def __init__(self) -> None:
        self._sum: NDArray[np.float64] | float = 0.0
        self._count: NDArray[np.intp] | int = 0

    def add(self, table: NDArray[Any]) -> None:
        self._sum = self._sum + exact(np.nan_to_num(table))
        self._count = self._count + (~np.isnan(table)).astype(np.intp)

    def values(self) -> NDArray[np.float64]:
        """Means; -1 where no case has a value, as with a threshold that is none."""
        means = np.where(self._count, self._sum / np.maximum(self._count, 1), -1.0)
        return np.asarray(means, dtype=np.float64)


def search(
    learned: LearnedPriors, workers: Workers, progress: Progress
) -> tuple[list[Recipe | None], int]:
    """The best recipe of each structure, and on how many cases it was searched.

    None for a structure that no training case has.
    """
    present = np.array([item.present for item in learned.cases])  # (N, K)
    chosen = searched_cases(learned.cases, present)
    structure_count = present.shape[1]
    trials = [_Trial(case, structure_count, learned.held_out[case.name]) for case in chosen]
    is_present = [bool(structure.any()) for structure in present.T]
    finalists = _finalists(trials, is_present, learned.prior.contrast_count, workers, progress)
    trials = [_Trial(trial.case, structure_count, trial.prior, finalists) for trial in trials]
    return _winners(trials, finalists, workers, progress), len(chosen)


def searched_cases(cases: Sequence[LocatedCase], present: NDArray[np.bool_]) -> list[TrainingCase]:
    """Cases evenly over the training set, as many of each structure as time allows."""
    largest = max(int(item.sizes[0].prod()) for item in cases) * present.shape[1]
    most = int(np.clip(SEARCH_VOXELS // largest, FEWEST_SEARCH_CASES, SEARCH_CASES))
    chosen: set[int] = set()
    for structure in present.T:
        having = np.flatnonzero(structure)
        if len(having):
            places = np.linspace(0, len(having) - 1, min(most, len(having))).round().astype(int)
            chosen.update(having[places].tolist())
    return [cases[number].case for number in sorted(chosen)]


def _finalists(
    trials: Sequence[_Trial],
    is_present: Sequence[bool],
    contrast_count: int,
    workers: Workers,
    progress: Progress,
) -> Finalists:
    every = settings(contrast_count)
    means = [_Mean() for _ in every]
    done = run_on_all_scans(_tabulate, trials, workers, progress, "trying thresholds")
    for _, tables in done:
        for mean, table in zip(means, tables, strict=True):
            mean.add(table)
    finalists: list[tuple[Threshold, ...]] = []
    for structure in range(len(is_present)):
        tables = [mean.values()[structure] for mean in means] if is_present[structure] else []
        ranked = sorted(range(len(tables)), key=lambda place: -tables[place].max())
        best = [(place, int(tables[place].argmax())) for place in ranked[:FINALISTS]]
        finalists.append(tuple(every[place].threshold(where) for place, where in best))
    return tuple(finalists)


def _winners(
    trials: Sequence[_Trial], finalists: Finalists, workers: Workers, progress: Progress
) -> list[Recipe | None]:
    if not trials:
        return [None for _ in finalists]
    means = [_Mean() for _ in finalists]
    done = run_on_all_scans(_morph, trials, workers, progress, "trying morphology")
    for _, tables in done:
        for mean, table in zip(means, tables, strict=True):
            mean.add(table)
    winners: list[Recipe | None] = []
    for mean, thresholds in zip(means, finalists, strict=True):
        if not thresholds:
            winners.append(None)
            continue
        dice = mean.values()  # (finalists, morphologies)
        which, morphology = np.unravel_index(int(dice.argmax()), dice.shape)
        winners.append(
            Recipe(thresholds[int(which)], MORPHOLOGIES[int(morphology)], float(dice.max()))
        )
    return winners


def _tabulate(trial: _Trial) -> list[NDArray[np.float32]]:
    structures = trial.case.structures(trial.structure_count)
    return list(tabulate(trial.case.scan(), structures, load_prior(trial.prior)))


def _morph(trial: _Trial) -> list[NDArray[np.float64]]:
    """Dice of all morphologies of the finalists of each structure, (finalists, morphologies)."""
    scan, prior = trial.case.scan(), load_prior(trial.prior)
    results = []
    for number, truth in enumerate(trial.case.structures(trial.structure_count)):
        rows = []
        for threshold in trial.finalists[number]:
            frequencies = prior.on(scan, threshold.alignment)
            rough = threshold.mask(scan, frequencies, number)
            rows.append([_dice(mask, truth) for _, mask in all_morphed(rough, scan)])
        results.append(np.array(rows))
    return results


def _dice(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    total = np.count_nonzero(mask) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(mask & truth) / total if total else float("nan")
