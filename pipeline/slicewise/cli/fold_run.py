"""What every run of a fold has in common, whatever segments: its cases, its facts, its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from slicewise import __version__
from slicewise.cli.console import note, output
from slicewise.cli.steps import Evaluated, examples
from slicewise.config import Config
from slicewise.dataset.cache import CachedCase, Prepared
from slicewise.dataset.catalogue import Case, Catalogue
from slicewise.dataset.plane import stack_axes
from slicewise.dataset.splits import Fold, shared_patients
from slicewise.evaluation.results import CONFIG, MASKS, RESULTS, SCORES, RunFacts
from slicewise.evaluation.statistics import final_metrics, summarize
from slicewise.reporting.figures.examples import draw_examples
from slicewise.tracking.runs import TrackedRun

PICTURE = "examples.png"
"""Held-out cases from the worst to the best."""


@dataclass(frozen=True)
class FoldCases:
    """A fold with the cases of both sides.

    Attributes:
        fold: names of the cases.
        catalogue: where they lie.
        prepared: the slices of the usable ones.
    """

    fold: Fold
    catalogue: Catalogue
    prepared: Prepared

    @cached_property
    def train(self) -> list[CachedCase]:
        """Usable cases that are learned from."""
        return self.prepared.chosen(self.fold.train)

    @cached_property
    def val(self) -> list[CachedCase]:
        """Usable cases that are held out."""
        return self.prepared.chosen(self.fold.val)

    @property
    def cases(self) -> list[Case]:
        """All cases of the fold, those set aside included."""
        return [self.catalogue.case(name) for name in (*self.fold.train, *self.fold.val)]

    @property
    def shared_patients(self) -> int:
        """Patients on both sides."""
        return len(shared_patients(self.fold, self.cases))

    def source(self, cached: CachedCase) -> Case:
        """Where the scans of a case lie."""
        return self.catalogue.case(cached.name)

    @property
    def held_out(self) -> list[Case]:
        """Where the scans of the usable held-out cases lie."""
        return [self.source(case) for case in self.val]

    def announce(self) -> None:
        """Say how many cases there are, and whether patients are shared."""
        fold = self.fold
        text = f"fold {fold.number} ({fold.kind}): {len(self.train)} training, "
        text += f"{len(self.val)} held out"
        if lost := len(self.cases) - len(self.train) - len(self.val):
            text += f", {lost} set aside"
        if self.shared_patients:
            text += f"; {self.shared_patients} patients on both sides: optimistically biased"
        note(text)
        if all(case.patient == case.name for case in self.cases):
            note("each case counts as one patient; set data.patient_pattern if some share one")

    def track(self, run: TrackedRun, data_set: str) -> None:
        """Log which cases were used for what."""
        run.log_cases("training", {case.name: case.key for case in self.train}, data_set)
        run.log_cases("validation", {case.name: case.key for case in self.val}, data_set)

    def facts(
        self,
        config: Config,
        kind: Literal["network", "baseline"],
        evaluated: Evaluated,
        seconds: float,
    ) -> RunFacts:
        """What the run found out about itself."""
        lost = [*self.prepared.set_aside, *evaluated.set_aside]
        return RunFacts(
            name=config.name,
            kind=kind,
            fold=self.fold.number,
            folds=self.fold.kind,
            training_cases=len(self.train),
            training_patients=len({case.patient for case in self.train}),
            training_slices=sum(
                case.label.shape[axis]
                for case in self.train
                for axis in stack_axes(config.preprocessing)
            ),
            validation_cases=len(self.val),
            validation_patients=len({case.patient for case in self.val}),
            shared_patients=self.shared_patients,
            set_aside={item.name: item.reason for item in lost},
            seconds=seconds,
            version=__version__,
            date=datetime.now(tz=UTC).date().isoformat(),
        )


def track_results(
    run: TrackedRun,
    step: int,
    config: Config,
    cases: FoldCases,
    evaluated: Evaluated,
    out: Path,
    more_files: Sequence[str],
) -> None:
    """Log the final metrics, draw and log the picture, log the files.

    Args:
        run: that is open.
        step: of the metrics.
        config: of the run.
        cases: whose held-out side was evaluated.
        evaluated: scores.
        out: folder of the run, with its masks.
        more_files: besides configuration, scores and results.
    """
    run.log_metrics(step, final_metrics(summarize(evaluated.scores)))
    if shown := examples(cases.held_out, evaluated.scores, out / MASKS, config):
        title = f"{config.name}, fold {cases.fold.number}: held-out cases, worst to best"
        draw_examples(shown, config.data.labels, out / PICTURE, title)
        run.log_figure(out / PICTURE)
    for name in (CONFIG, SCORES, RESULTS, *more_files):
        run.log_artifact(out / name)


def show_places(places: Mapping[str, object]) -> None:
    """Print a line a place."""
    for name, place in places.items():
        output.print(f"{name:>10}: {place}", markup=False, soft_wrap=True)
