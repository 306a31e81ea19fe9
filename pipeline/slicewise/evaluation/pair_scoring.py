"""Scores pairs of masks in worker processes, and sums the scores up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from slicewise.config import Config, ReadingSection
from slicewise.dataset.catalogue import SetAside
from slicewise.dataset.patient_ids import patient_of
from slicewise.dataset.workers import Workers, run_on_scans
from slicewise.errors import DataError, ScanError
from slicewise.evaluation.pairing import Pair, label_values, read_pair
from slicewise.evaluation.scores import Score, score_case
from slicewise.evaluation.statistics import (
    Distribution,
    StructureSummary,
    mean_dice_interval,
    summarize,
)
from slicewise.imaging.files import write_text
from slicewise.imaging.structures import Structure, structures_of
from slicewise.progress import SILENT, Progress, tracked


@dataclass(frozen=True)
class PairTask:
    """What a worker needs for one pair.

    Attributes:
        pair: where the masks lie.
        reading: how faulty files are handled.
        structures: what the values mean; none where that is asked.
        patient: whose case it is; empty takes it for a patient of its own.
    """

    pair: Pair
    reading: ReadingSection
    structures: tuple[Structure, ...] = ()
    patient: str = ""

    @property
    def name(self) -> str:
        """Of the case, for messages."""
        return self.pair.name


@dataclass(frozen=True)
class ScoredPair:
    """What a worker hands back.

    Attributes:
        scores: one row per structure.
        warnings: what was noticed about both masks.
    """

    scores: list[Score]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ScoredPairs:
    """What came of all pairs.

    Attributes:
        scores: one row per case and structure, in the order of the pairs.
        warnings: case to what was noticed about its masks.
        failures: case to the reason why it has no scores.
    """

    scores: list[Score]
    warnings: dict[str, tuple[str, ...]]
    failures: dict[str, ScanError]


@dataclass(frozen=True)
class EvaluationSummary:
    """An evaluation as a whole, as its JSON file has it; what is undefined is null.

    Attributes:
        cases: that were scored.
        patients: whose they are.
        mean_dice: of the structures' mean Dice.
        structures: a summary each.
        set_aside: what was not scored, to the reason.
        without_mask: references that no mask belongs to.
    """

    cases: int
    patients: int
    mean_dice: Distribution
    structures: list[StructureSummary]
    set_aside: Mapping[str, str]
    without_mask: Sequence[str]


def pair_tasks(
    pairs: Sequence[Pair], config: Config | None, workers: Workers, progress: Progress = SILENT
) -> list[PairTask]:
    """A task for each pair.

    Args:
        pairs: predictions and references.
        config: names structures and patients; without one, structures are the values that occur,
            and each case is a patient of its own.
        workers: processes that look for these values.
        progress: receives how far that is, and a message where patients are not known.
    """
    if config is None:
        reading, patients = ReadingSection(), dict.fromkeys([pair.name for pair in pairs], "")
        values = _values_in([PairTask(pair, reading) for pair in pairs], workers, progress)
        structures = structures_of({f"label_{value}": value for value in values}, {})
    else:
        reading, patients = config.reading, _patients(pairs, config, progress)
        structures = structures_of(config.data.labels, config.structures)
    return [PairTask(pair, reading, structures, patients[pair.name]) for pair in pairs]


def score_pairs(
    tasks: Sequence[PairTask], workers: Workers, progress: Progress = SILENT
) -> ScoredPairs:
    """Score each pair on the grid of its reference, ``workers`` at a time."""
    done = run_on_scans(score_pair, tasks, workers)
    results = tracked(done, progress, "scoring", len(tasks))
    by_name = {task.name: result for task, result in results}
    found = ScoredPairs([], {}, {})
    for task in tasks:
        result = by_name[task.name]
        if isinstance(result, ScanError):
            found.failures[task.name] = result
        else:
            found.scores.extend(result.scores)
            found.warnings[task.name] = result.warnings
    return found


def score_pair(task: PairTask) -> ScoredPair:
    """Read and score one pair."""
    names = {structure.name: structure.value for structure in task.structures}
    predicted, reference = read_pair(task.pair, task.reading, names)
    scored = score_case(task.name, predicted, reference, task.structures, patient=task.patient)
    return ScoredPair(
        scored.scores, tuple(dict.fromkeys((*predicted.warnings, *reference.warnings)))
    )


def values_in_pair(task: PairTask) -> list[int]:
    """Label values of one pair."""
    return label_values([task.pair], task.reading)


def summarize_evaluation(
    scores: Sequence[Score], set_aside: Sequence[SetAside], without_mask: Sequence[str]
) -> EvaluationSummary:
    """Sum up the scores of an evaluation, and all that it leaves out.

    Args:
        scores: of all pairs.
        set_aside: pairs without scores.
        without_mask: references that no mask belongs to.
    """
    return EvaluationSummary(
        cases=len({score.case for score in scores}),
        patients=len({score.patient for score in scores}),
        mean_dice=mean_dice_interval(scores),
        structures=summarize(scores),
        set_aside={item.name: item.reason for item in set_aside},
        without_mask=without_mask,
    )


def write_summary(summary: EvaluationSummary, path: Path) -> None:
    """Write a summary as JSON.

    Raises:
        OutputError: the file cannot be written.
    """
    text = TypeAdapter(EvaluationSummary).dump_json(summary, indent=2).decode()
    write_text(path, text + "\n")


def _values_in(tasks: Sequence[PairTask], workers: Workers, progress: Progress) -> list[int]:
    """Label values of all pairs; a pair that cannot be read is named when it is scored."""
    done = run_on_scans(values_in_pair, tasks, workers)
    results = tracked(done, progress, "reading", len(tasks))
    found = [result for _, result in results if not isinstance(result, ScanError)]
    return sorted({value for values in found for value in values})


def _patients(pairs: Sequence[Pair], config: Config, progress: Progress) -> dict[str, str]:
    """Case to patient; where names do not tell patients, each case is a patient of its own."""
    try:
        return {pair.name: patient_of(pair.name, config.data) for pair in pairs}
    except DataError as error:
        progress.message(f"each case counts as one patient: {error.reason} ({error.where})")
        return {pair.name: pair.name for pair in pairs}
