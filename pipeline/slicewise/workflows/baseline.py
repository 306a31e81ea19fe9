"""Fits a classical baseline to a fold and scores it as a network would be."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.config import Config
from slicewise.dataset.catalogue import SetAside
from slicewise.dataset.fold_cases import FoldCases
from slicewise.dataset.mask_sources import add_sources
from slicewise.dataset.splits import choose_fold, make_folds
from slicewise.dataset.work_folder import WorkFolder, require_outside
from slicewise.dataset.workers import chosen_workers
from slicewise.errors import DataError, OutputError
from slicewise.evaluation.baseline.segmenter import Baseline
from slicewise.evaluation.predict_and_score import ScoredCases, mask_sources, predict_and_score
from slicewise.evaluation.results import write_results, write_run_config
from slicewise.evaluation.scores import Score, scores_table
from slicewise.evaluation.statistics import (
    Distribution,
    StructureSummary,
    mean_dice_interval,
    summarize,
)
from slicewise.evaluation.summary_table import summary_table
from slicewise.imaging.files import write_text
from slicewise.progress import SILENT, Progress
from slicewise.quantities import counted
from slicewise.tracking.overwriting import baseline_target, clear_baseline
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.run_index import remember_run
from slicewise.tracking.runs import start_run
from slicewise.tracking.store import open_store
from slicewise.workflows.messages import report_set_aside
from slicewise.workflows.prepare import PrepareOptions, prepare
from slicewise.workflows.track_fold import log_cases, log_results, run_facts
from slicewise.workflows.train import require_fold

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class BaselineOptions:
    """What to fit.

    Attributes:
        config: contrasts, structures, preprocessing and folds; its network is not used.
        fold: number of the fold that is held out.
        out: folder of the results; None takes one below the work folder.
        work: folder of slice cache, private records and tracking store.
        workers: processes, or the address of a Dask cluster; None takes as many as there are
            cores.
        overwrite: replace a baseline that lies in ``out``.
    """

    config: Config
    fold: int = 0
    out: Path | None = None
    work: Path = Path("work")
    workers: int | str | None = None
    overwrite: bool = False

    @property
    def folder(self) -> RunFolder:
        """Where the results go."""
        if self.out is not None:
            return RunFolder(self.out)
        return RunFolder(self.work / "runs" / f"{self.config.name}-baseline").fold(self.fold)


@dataclass(frozen=True)
class BaselineResult:
    """A baseline that was fitted and scored.

    Attributes:
        folder: choice, configuration, masks, scores, examples.
        cases: of the fold.
        baseline: as it was fitted.
        scored: the held-out cases.
        run_id: of the tracked run.
    """

    folder: RunFolder
    cases: FoldCases
    baseline: Baseline
    scored: ScoredCases
    run_id: str

    @property
    def rows(self) -> list[Score]:
        """A score a held-out case and structure."""
        return self.scored.scores

    @property
    def scores(self) -> pd.DataFrame:
        """One row per held-out case and structure, with the columns of ``scores.csv``."""
        return scores_table(self.rows)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per structure: means over the held-out cases, 95 % intervals, counts."""
        return summary_table(self.summaries)

    @cached_property
    def summaries(self) -> list[StructureSummary]:
        """A summary a structure, over the held-out cases."""
        return summarize(self.rows)

    @cached_property
    def mean_dice(self) -> Distribution:
        """Mean Dice over the structures, with its 95 % interval."""
        return mean_dice_interval(self.rows)

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Scans that could not be used."""
        return (*self.cases.prepared.set_aside, *self.scored.set_aside)


def fit_baseline(options: BaselineOptions, progress: Progress = SILENT) -> BaselineResult:
    """Fit thresholds, morphology and a prior to a fold, score them, track the run.

    Raises:
        ConfigError: no structure is named.
        OutputError: ``out`` holds a network, another baseline, or belongs to another process.
        DataError: no usable case on one side of the fold.
    """
    options.config.require_structures()
    require_fold(options.config, options.fold)
    folder = options.folder
    _require_no_network(folder)
    _require_no_baseline(folder, overwrite=options.overwrite)
    root = options.config.data.root
    inputs = () if root is None else (root,)
    if root is not None:
        require_outside(root, {"out": folder.path, "work": options.work})
    target = baseline_target(inputs, folder, overwrite=options.overwrite)
    with target.writing(folder.path):
        cases = _cases(options, progress)
        # Label maps may lie elsewhere than the data set.
        baseline_target(cases.catalogue.files, folder, overwrite=options.overwrite)
        clear_baseline(folder)
        return _fit_and_score(options, folder, cases, progress)


def _require_no_network(folder: RunFolder) -> None:
    if folder.network is not None:
        raise OutputError(
            folder.path,
            expected="a folder without a network",
            found=f"{folder.network.relative_to(folder.path)} of a training",
            remedy="choose another `out`; a baseline never replaces a training",
        )


def _require_no_baseline(folder: RunFolder, *, overwrite: bool) -> None:
    if folder.baseline.exists() and not overwrite:
        raise OutputError(
            folder.path,
            expected="a folder without a baseline",
            found=f"{folder.baseline.name} of an earlier one",
            remedy="replace it with `overwrite`, or choose another `out`",
        )


def _cases(options: BaselineOptions, progress: Progress) -> FoldCases:
    config = options.config
    data = prepare(PrepareOptions(config, options.work, options.workers), progress)
    folds = make_folds(data.catalogue.labelled, config.data, data.prepared.structures_ml)
    fold = choose_fold(folds, options.fold)
    cases = FoldCases(fold, data.catalogue, data.prepared)
    for text in cases.summary():
        progress.message(text)
    sides = (("training", fold.train, cases.train), ("held-out", fold.val, cases.val))
    for name, names, usable in sides:
        if not usable:
            raise DataError(
                f"fold {fold.number}",
                expected=f"at least one usable {name} case",
                found=f"{counted(len(names), 'case')}, none of them usable",
                remedy="see what was set aside, or choose another fold",
            )
    return cases


def _fit_and_score(
    options: BaselineOptions, folder: RunFolder, cases: FoldCases, progress: Progress
) -> BaselineResult:
    config, fold, work = options.config, cases.fold, WorkFolder(options.work)
    tags = {"slicewise.folds": fold.kind, "slicewise.kind": "baseline"}
    name = f"baseline fold {fold.number}, {config.name}"
    store = open_store(work.path, must_answer=False)
    run = start_run(store, config, name, fold=fold.number, tags=tags)
    with run:
        remember_run(work.path, run.run_id, folder, config)
        write_run_config(config, folder.config)
        log_cases(run, cases, config.name)
        begun = time.monotonic()
        baseline = _fitted(options, cases, progress)
        seconds = time.monotonic() - begun
        write_text(folder.baseline, json.dumps(_choice(baseline), indent=2) + "\n")
        progress.message(f"fitted in {seconds / 60:.1f} min")
        scored = predict_and_score(
            baseline, cases.held_out, folder.masks, work.pseudonyms, progress=progress
        )
        add_sources(work.mask_sources, mask_sources(folder.masks, cases.held_out))
        report_set_aside(progress, scored.set_aside)
        facts = run_facts(cases, config, "baseline", scored, seconds)
        write_results(folder.path, facts, scored.scores, scored.reliability)
        log_results(run, 0, config, cases, scored, folder, [folder.baseline])
    return BaselineResult(folder, cases, baseline, scored, run.run_id)


def _fitted(options: BaselineOptions, cases: FoldCases, progress: Progress) -> Baseline:
    """A baseline that has seen the training side alone."""
    training = [(cached, cases.source(cached)) for cached in cases.train]
    workers = chosen_workers(options.workers)
    baseline = Baseline.fitted(
        training, options.config, options.work, workers=workers, progress=progress
    )
    if baseline.is_of_one_patient:
        progress.message(
            "only one training patient: the search is scored on the labels that made the prior"
        )
    return baseline


def _choice(baseline: Baseline) -> dict[str, object]:
    words = baseline.descriptions()
    return {
        "searched_cases": baseline.searched_cases,
        "judged_by_other_patients": not baseline.is_of_one_patient,
        "structures": {
            name: {"words": words[name], **({} if recipe is None else asdict(recipe))}
            for name, recipe in zip(words, baseline.recipes, strict=True)
        },
    }
