"""A run whose scores are compared, and what two such runs are called next to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slicewise.evaluation.results import Results, RunFacts
from slicewise.evaluation.scores import Score, read_scores


@dataclass(frozen=True)
class ScoredRun:
    """A run that is compared.

    Attributes:
        scores: rows of all its folds.
        facts: about its folds; empty where only its scores are known.
        name: of its configuration, or of the file of its scores; empty where only facts are known.
        run_id: first letters of the id of its first fold; empty where it has none.
    """

    scores: list[Score]
    facts: list[RunFacts]
    name: str = ""
    run_id: str = ""

    @classmethod
    def of_folds(cls, folds: Sequence[Results], run_id: str = "") -> ScoredRun:
        """All folds of one run, as ``read_results`` reads them."""
        return cls(
            [score for fold in folds for score in fold.scores],
            [fold.facts for fold in folds if fold.facts],
            folds[0].config.name,
            run_id,
        )

    @classmethod
    def of_table(cls, path: Path) -> ScoredRun:
        """A CSV of scores, of which nothing else is known.

        Raises:
            DataError: no such file, another table, or a damaged one.
        """
        return cls(read_scores(path), [], path.stem)

    @property
    def titles(self) -> tuple[str, ...]:
        """Possible names, from short to explicit; never a folder, which may name patients."""
        name = self.name or next((facts.name for facts in self.facts), "run")
        kinds = " and ".join(sorted({facts.kind for facts in self.facts}))
        numbers = ", ".join(str(facts.fold) for facts in self.facts)
        texts = (name, f"{name} {kinds}", f"{name} {kinds} fold {numbers}", f"{name} {self.run_id}")
        return texts if self.facts else (name, name, name, texts[-1])


def distinct_names(first: ScoredRun, second: ScoredRun) -> tuple[str, str]:
    """The shortest titles that distinguish two runs; ``first`` and ``second`` where none do."""
    for one, other in zip(first.titles, second.titles, strict=True):
        if one != other:
            return one.strip(), other.strip()
    return "first", "second"
