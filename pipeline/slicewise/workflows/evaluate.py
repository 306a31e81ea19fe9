"""Scores masks against references: one row per case and structure, on the grid of the reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.config import Config
from slicewise.dataset.catalogue import SetAside
from slicewise.dataset.mask_sources import read_sources
from slicewise.dataset.work_folder import WorkFolder
from slicewise.dataset.workers import chosen_workers
from slicewise.evaluation.pair_scoring import (
    EvaluationSummary,
    pair_tasks,
    score_pairs,
    summarize_evaluation,
    write_summary,
)
from slicewise.evaluation.pairing import pair_masks
from slicewise.evaluation.scores import Score, scores_table, write_scores
from slicewise.evaluation.statistics import Distribution, StructureSummary
from slicewise.evaluation.summary_table import summary_table
from slicewise.imaging.target import given, outputs
from slicewise.progress import SILENT, Progress
from slicewise.quantities import counted, listed
from slicewise.workflows.messages import report_set_aside, report_warnings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class EvaluateOptions:
    """What to score.

    Attributes:
        predictions: a mask, or a folder of masks.
        labels: its reference, or a folder of references with the names of their masks.
        out: CSV of the scores; None writes none.
        config: names and tolerances of structures, and which cases share a patient; None names
            structures after the values that occur, and takes each case for a patient of its own.
        json: file of the summary; None writes none.
        workers: pairs at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
        work: folder of private records of the prediction, which has the key from neutral names of
            masks of DICOM, such as ``dicom-3``, to their scans.
        overwrite: replace files of others.
    """

    predictions: Path
    labels: Path
    out: Path | None = None
    config: Config | None = None
    json: Path | None = None
    workers: int | str | None = None
    work: Path = Path("work")
    overwrite: bool = False


@dataclass(frozen=True)
class Evaluation:
    """Masks that were scored.

    Attributes:
        rows: one score per case and structure.
        totals: means with their 95 % intervals, quartiles and counts; what was left out.
        set_aside: masks that could not be scored, each with its reason.
        without_mask: references that no mask belongs to.
    """

    rows: tuple[Score, ...]
    totals: EvaluationSummary
    set_aside: tuple[SetAside, ...]
    without_mask: tuple[str, ...]

    @property
    def scores(self) -> pd.DataFrame:
        """One row per case and structure, with the columns of the CSV; undefined ones are NaN."""
        return scores_table(self.rows)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per structure: means over the cases, 95 % intervals, counts."""
        return summary_table(self.summaries)

    @property
    def summaries(self) -> list[StructureSummary]:
        """A summary a structure."""
        return self.totals.structures

    @property
    def mean_dice(self) -> Distribution:
        """Mean Dice over the structures, with its 95 % interval."""
        return self.totals.mean_dice


def evaluate(options: EvaluateOptions, progress: Progress = SILENT) -> Evaluation:
    """Score each mask on the grid of its reference.

    Dice, IoU, sensitivity, precision, HD95 and average surface distance in mm, surface Dice, and
    volumes in ml. A false-negative or false-positive structure scores 0 and has no distance; where
    both masks are empty nothing is defined, and the case is counted.

    Args:
        options: what is scored.
        progress: receives sentences about masks that are set aside, and references without a mask.

    Raises:
        ScanError, DataError: nothing to pair, or the only pair cannot be read.
        UsageError, OutputError: a file cannot be written, or would replace one of others.
    """
    files = {"out": given(options.out), "json": given(options.json)}
    inputs = (options.predictions, options.labels)
    writing = outputs(
        "evaluate",
        files,
        overwrite=options.overwrite,
        inputs=inputs,
        suffixes={"out": (".csv",)},
    )
    with writing:
        return _evaluate(options, progress)


def _evaluate(options: EvaluateOptions, progress: Progress) -> Evaluation:
    record = WorkFolder(options.work).mask_sources
    pairing = pair_masks(options.predictions, options.labels, read_sources(record))
    if pairing.by_source:
        progress.message(
            f"{counted(len(pairing.by_source), 'mask')} matched by the folders of the scans; the "
            f"key from case to scan: {record} (may name patients; only you can read it)"
        )
    workers = chosen_workers(options.workers)
    tasks = pair_tasks(pairing.pairs, options.config, workers, progress)
    scored = score_pairs(tasks, workers, progress)
    if len(scored.failures) == len(tasks) == 1:
        raise scored.failures[tasks[0].name]
    set_aside = (
        *(_without_reference(options.predictions, name) for name in pairing.only_predicted),
        *(SetAside.from_error(name, error) for name, error in scored.failures.items()),
    )
    totals = summarize_evaluation(scored.scores, set_aside, pairing.only_reference)
    if options.out is not None:
        write_scores(scored.scores, options.out)
    if options.json is not None:
        write_summary(totals, options.json)
    report_warnings(progress, scored.warnings)
    report_set_aside(progress, set_aside)
    if pairing.only_reference:
        progress.message(f"not scored, no mask: {listed(pairing.only_reference)}")
    return Evaluation(tuple(scored.scores), totals, set_aside, tuple(pairing.only_reference))


def _without_reference(predictions: Path, name: str) -> SetAside:
    return SetAside(name, str(predictions / name), "mask without reference", "add its reference")
