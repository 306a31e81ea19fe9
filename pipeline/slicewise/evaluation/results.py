"""The results of a fold: facts, scores, calibration and losses, as files of its run folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

from pydantic import TypeAdapter

from slicewise.config import Config, parse_config
from slicewise.errors import DataError
from slicewise.evaluation.scores import Score, read_scores, write_scores
from slicewise.imaging.files import write_table, write_text
from slicewise.metrics.calibration import Reliability

SCORES = "scores.csv"
RESULTS = "results.json"
CONFIG = "config.yaml"
HISTORY = "history.jsonl"
LOSSES = "losses.csv"
MASKS = "masks"
REPORT = "report"


@dataclass(frozen=True)
class RunFacts:
    """One fold of a run, free of identities.

    Attributes:
        name: of the configuration.
        kind: what segmented.
        fold: number of the fold that was held out.
        folds: how the folds were made; stands next to every figure.
        training_cases: usable cases that were learned from.
        training_patients: whose they are.
        training_slices: cut from them, in all planes that the network sees.
        validation_cases: usable cases that were held out.
        validation_patients: whose they are.
        shared_patients: patients on both sides; with any, scores are optimistically biased.
        set_aside: name of each case that was left out, to the reason.
        seconds: of training or fitting.
        version: of slicewise.
        date: day on which the run ended, ISO 8601.
    """

    name: str
    kind: Literal["network", "baseline"]
    fold: int
    folds: str
    training_cases: int
    training_patients: int
    training_slices: int
    validation_cases: int
    validation_patients: int
    shared_patients: int
    set_aside: Mapping[str, str]
    seconds: float
    version: str
    date: str


@dataclass(frozen=True)
class Results:
    """One fold of a run, read back from its folder.

    Attributes:
        folder: where it lies; masks are in ``masks`` below.
        facts: about the fold; None where the run did not come to its scores.
        config: complete, without folders of the machine it ran on.
        scores: one row per held-out case and structure; empty where the run did not come so far.
        reliability: structure to its probabilities against the truth; empty without any.
        validations: rows of step, mean Dice and Dice of each structure.
        losses: rows of step and mean loss since the row before.
    """

    folder: Path
    facts: RunFacts | None
    config: Config
    scores: tuple[Score, ...]
    reliability: Mapping[str, Reliability]
    validations: tuple[Mapping[str, float], ...]
    losses: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class _Content:
    """What ``results.json`` holds."""

    facts: RunFacts
    reliability: dict[str, Reliability]


_CONTENT = TypeAdapter(_Content)


def write_results(
    folder: Path,
    facts: RunFacts,
    scores: Sequence[Score],
    reliability: Mapping[str, Reliability],
) -> None:
    """Write scores and facts of a fold.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_scores(scores, folder / SCORES)
    content = _CONTENT.dump_json(_Content(facts, dict(reliability)), indent=2)
    write_text(folder / RESULTS, content.decode() + "\n")


def write_losses(path: Path, losses: Sequence[float], rows: int = 200) -> None:
    """Write the loss of each step as means over equal stretches, ``rows`` at most.

    Raises:
        OutputError: the file cannot be written.
    """
    stretch = -(-len(losses) // rows) or 1
    parts = (losses[start : start + stretch] for start in range(0, len(losses), stretch))
    ends = (min(start + stretch, len(losses)) for start in range(0, len(losses), stretch))
    write_table(path, ("step", "loss"), zip(ends, map(fmean, parts), strict=True))


def holds_results(folder: Path) -> bool:
    """Whether a run has begun in a folder, or in a folder of a fold below it."""
    return bool(_fold_folders(folder))


def read_results(run: Path) -> list[Results]:
    """The folds of a run: one, or those below ``fold-0``, ``fold-1``, ...

    Raises:
        DataError: no run lies there, or a file of it is damaged.
    """
    folders = _fold_folders(run)
    if not folders:
        raise DataError(
            run,
            expected=f"the folder of a run, with {CONFIG}",
            found="no such folder" if not run.is_dir() else "none in it",
            remedy="give the folder of a training or of a baseline",
        )
    return [_read_fold(folder) for folder in folders]


def _fold_folders(run: Path) -> list[Path]:
    folders = [run] if (run / CONFIG).is_file() else sorted(run.glob("fold-*"))
    return [folder for folder in folders if (folder / CONFIG).is_file()]


def _read_fold(folder: Path) -> Results:
    config, results = folder / CONFIG, folder / RESULTS
    with _whole(config):
        text = config.read_text(encoding="utf-8")
    with _whole(results):
        content = _CONTENT.validate_json(results.read_bytes()) if results.is_file() else None
    with _whole(folder / HISTORY):
        validations = _json_lines(folder / HISTORY)
    with _whole(folder / LOSSES):
        losses = _losses(folder / LOSSES)
    return Results(
        folder,
        content.facts if content else None,
        parse_config(text, str(config), trained=True),
        tuple(read_scores(folder / SCORES)) if (folder / SCORES).is_file() else (),
        content.reliability if content else {},
        tuple(validations),
        tuple(losses),
    )


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Name the file that cannot be read."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            path,
            expected="an intact file of the run",
            found=f"{type(error).__name__}: {error}",
            remedy="restore the file, or train again",
        ) from error


def _json_lines(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _losses(path: Path) -> list[tuple[int, float]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(stream)]
