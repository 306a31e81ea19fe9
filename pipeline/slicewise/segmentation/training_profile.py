"""What the scans of a training looked like, and what is unlike them in another scan.

The limits are those of out-of-distribution detection on summaries of a scan: facts of its header,
size and spacing, intensities, a thumbnail, features of the network, and the structures that are
found. Each has a prediction interval for one more scan of the training; together they leave out
about ``FALSE_ALARMS`` of such scans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from pydantic import TypeAdapter, ValidationError

from slicewise.dataset.measurements import Measurements
from slicewise.errors import CheckpointError
from slicewise.segmentation.checkpoint import Checkpoint
from slicewise.segmentation.distributions import (
    FALSE_ALARMS,
    MIRRORED,
    Cloud,
    Floats,
    Interval,
    widened,
)
from slicewise.segmentation.scan_summary import AXES, Summary, summarize

FEWEST_SCANS = 5
"""Of fewer scans nothing is known about the next one."""
_UNSEEN = 2.0
"""Score of a word that no scan of the training had."""

_WORDS = {
    "Kind": "kind of image:",
    "Modality": "modality",
    "ScanningSequence": "scanning sequence",
    "Contrast": "contrast",
}
NO_ERRORS: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Difference:
    """How far a scan is from those of the training in one respect.

    Attributes:
        score: above 1 it is unlike them.
        text: in words.
        is_word: whether it is a word that they have or have not, and no distance.
    """

    score: float
    text: str
    is_word: bool = False

    def within(self, factor: float) -> Difference:
        """The same difference from limits that are this many times as wide."""
        return self if self.is_word else replace(self, score=self.score / factor)


@dataclass(frozen=True)
class TrainingProfile:
    """What the scans of a training looked like.

    Attributes:
        scans: how many, held-out ones included.
        words: each word of the acquisition to those that scans of the training had.
        intervals: of each figure of ``Summary.figures``.
        clouds: of each vector of ``Summary.vectors``.
    """

    scans: int
    words: Mapping[str, tuple[str, ...]]
    intervals: Mapping[str, Interval]
    clouds: Mapping[str, Cloud]

    @classmethod
    def of(
        cls, measured: Sequence[Measurements], errors: Mapping[str, float] = NO_ERRORS
    ) -> TrainingProfile:
        """Summarise the scans of a training.

        Args:
            measured: at least ``FEWEST_SCANS``.
            errors: standard error with which a figure of one more scan is known.
        """
        summaries = [summarize(item) for item in measured]
        figures = _shared([set(item.figures) for item in summaries])
        vectors = _shared([set(item.vectors) for item in summaries])
        count = len(figures) + len(vectors) + len(AXES)
        return cls(
            len(measured),
            _words(measured),
            {
                name: Interval.of(
                    np.array([item.figures[name].value for item in summaries]),
                    count,
                    summaries[0].figures[name].least,
                    errors.get(name, 0.0),
                )
                for name in figures
            },
            {
                name: Cloud.of(name, _filled([item.vectors[name] for item in summaries]), count)
                for name in vectors
            },
        )

    def widened(self, factors: Mapping[str, float]) -> TrainingProfile:
        """The same scans with wider limits.

        Args:
            factors: of each respect that ``compare`` names; 1 where none is given.
        """
        return replace(
            self,
            intervals=widened(self.intervals, factors),
            clouds={
                name: replace(item, intervals=widened(item.intervals, factors))
                for name, item in self.clouds.items()
            },
        )

    def compare(self, scan: Measurements) -> dict[str, Difference]:
        """Each respect in which a scan can differ, with how far it does."""
        summary: Summary = summarize(scan)
        found = {}
        for name, words in self.words.items():
            word = scan.words.get(name)
            if word is not None:
                text = f"{_WORDS[name]} {word}; training had {', '.join(words)}"
                found[name] = Difference(0.0 if word in words else _UNSEEN, text, is_word=True)
        for name, interval in self.intervals.items():
            if name in summary.figures:
                figure = summary.figures[name]
                text = (
                    f"{figure.text}; training had {figure.range(interval.lowest, interval.highest)}"
                )
                found[name] = Difference(interval.score(figure.value), text)
        for name, cloud in self.clouds.items():
            vector = summary.vectors.get(name)
            if vector is not None and len(vector) == len(cloud.mean):
                filled = np.where(np.isnan(vector), cloud.mean, vector)
                for key, score in cloud.scores(name, filled).items():
                    axis = key.removeprefix(f"{MIRRORED} ")
                    text = f"looks {MIRRORED} {summary.axes[axis]}" if axis in summary.axes else key
                    found[key] = Difference(score, text)
        return found


def _words(measured: Sequence[Measurements]) -> dict[str, tuple[str, ...]]:
    """Only where another word would be a surprise: each known one has been seen more than once."""
    found = {}
    for name in _shared([set(item.words) for item in measured]):
        counts = Counter(item.words[name] for item in measured)
        # Good and Turing: the share of words seen once is the probability of an unseen one.
        if list(counts.values()).count(1) <= FALSE_ALARMS * len(measured):
            found[name] = tuple(sorted(counts))
    return found


def _shared(names: Sequence[set[str]]) -> list[str]:
    return sorted(set.intersection(*names))


def _filled(vectors: Sequence[Floats]) -> Floats:
    """Stack them, with the mean of the others where an entry is undefined."""
    stacked = np.stack(vectors)  # (scans, entries)
    known = ~np.isnan(stacked)
    sums = np.where(known, stacked, 0).sum(0)
    return np.where(known, stacked, sums / np.maximum(known.sum(0), 1))


_KEY = "training_profile"
_CONTENT = TypeAdapter(TrainingProfile)


def with_profile(checkpoint: Checkpoint, profile: TrainingProfile | None) -> Checkpoint:
    """The checkpoint with what the scans of its training looked like; None removes it."""
    facts = {key: value for key, value in checkpoint.facts.items() if key != _KEY}
    if profile is not None:
        facts[_KEY] = _CONTENT.dump_json(profile).decode()
    return replace(checkpoint, facts=facts)


def read_profile(checkpoint: Checkpoint, where: str) -> TrainingProfile | None:
    """What the scans of a training looked like; None in a checkpoint of an unfinished one.

    Raises:
        CheckpointError: damaged, or written by another version.
    """
    text = checkpoint.facts.get(_KEY)
    if text is None:
        return None
    try:
        return _CONTENT.validate_json(text)
    except ValidationError as error:
        raise CheckpointError(
            where,
            expected="an intact description of the scans of the training",
            found=f"{error.error_count()} values that are missing or wrong",
            remedy="train again with this version, or predict with the one that trained it",
        ) from error
