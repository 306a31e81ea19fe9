"""The results of a fold: facts, scores, calibration and losses, as files of its run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Literal

from pydantic import TypeAdapter

from slicewise.config import Config, as_yaml, parse_config, without_places
from slicewise.errors import DataError
from slicewise.evaluation.scores import Score, read_scores, scores_file, write_scores
from slicewise.imaging.files import write_table, write_text
from slicewise.imaging.own_files import EDITED, OwnFile, was_edited
from slicewise.metrics.calibration import Reliability

SCORES = "scores.csv"
RESULTS = "results.json"
CONFIG = "config.yaml"
HISTORY = "history.jsonl"
LOSSES = "losses.csv"
MASKS = "masks"
REPORT = "report"
_CONFIG_HEADER = f"""\
# The complete configuration of a run, which its report is drawn from. To change it on purpose, end
# the file with the line
#   {EDITED}
"""


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
        scans: what training and held-out scans looked like, term to text; empty for a baseline.
        unlike: name of each held-out case whose scan is unlike all others, to the reasons.
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
    scans: Mapping[str, str] = field(default_factory=dict)
    unlike: Mapping[str, str] = field(default_factory=dict)


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
        is_edited: whether a person changed the configuration after the run.
    """

    folder: Path
    facts: RunFacts | None
    config: Config
    scores: tuple[Score, ...]
    reliability: Mapping[str, Reliability]
    validations: tuple[Mapping[str, float], ...]
    losses: tuple[tuple[int, float], ...]
    is_edited: bool = False


@dataclass(frozen=True)
class _Content:
    """What ``results.json`` holds."""

    facts: RunFacts
    reliability: dict[str, Reliability]


_CONTENT = TypeAdapter(_Content)
_VALIDATION: TypeAdapter[Mapping[str, float]] = TypeAdapter(dict[str, float])


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
            found="no such folder" if not run.is_dir() else f"no {CONFIG} in it",
            remedy="give the folder of a training or of a baseline",
        )
    return [_read_fold(folder) for folder in folders]


def _fold_folders(run: Path) -> list[Path]:
    folders = [run] if _run_config(run).exists() else sorted(run.glob("fold-*"))
    return [folder for folder in folders if _run_config(folder).exists()]


def _read_fold(folder: Path) -> Results:
    results = _own(folder / RESULTS, "facts and calibration of a run")
    content = results.json(_CONTENT) if results.exists() else None
    history = _own(folder / HISTORY, "one line of JSON per validation")
    losses = _own(folder / LOSSES, "losses of the training, with columns step and loss")
    scores = scores_file(folder / SCORES)
    config = _run_config(folder)
    return Results(
        folder,
        content.facts if content else None,
        read_run_config(config.path),
        tuple(read_scores(scores.path)) if scores.exists() else (),
        content.reliability if content else {},
        tuple(history.json_lines(_VALIDATION)) if history.exists() else (),
        tuple(losses.rows(("step", "loss"), _loss)) if losses.exists() else (),
        was_edited(config.text()),
    )


def write_run_config(config: Config, path: Path) -> None:
    """Write the complete configuration of a run, without paths of this machine.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, _CONFIG_HEADER + as_yaml(without_places(config)))


def read_run_config(path: Path) -> Config:
    """Read the configuration of a run.

    Raises:
        DataError: the file is damaged, or was changed since it was written.
        ConfigErrors: mistakes of a person who edited it.
    """
    text = _run_config(path.parent).text()
    return parse_config(text, str(path), trained=True)


def _run_config(folder: Path) -> OwnFile:
    return _own(folder / CONFIG, "the configuration of a run")


def _own(path: Path, what: str) -> OwnFile:
    return OwnFile(path, what, "restore the file from a copy, or train again with `overwrite`")


def _loss(row: Mapping[str, str]) -> tuple[int, float]:
    return int(row["step"]), float(row["loss"])
