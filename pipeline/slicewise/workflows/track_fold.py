"""What every run of a fold logs, whatever segments: its cases, its facts, its files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from slicewise import __version__
from slicewise.config import Config
from slicewise.dataset.catalogue import Case
from slicewise.dataset.fold_cases import FoldCases
from slicewise.dataset.plane import stack_axes
from slicewise.evaluation.predict_and_score import ScoredCases, mask_path
from slicewise.evaluation.results import RESULTS, RunFacts
from slicewise.evaluation.scores import Score
from slicewise.evaluation.statistics import final_metrics, summarize
from slicewise.imaging.own_files import CHECKSUMS
from slicewise.imaging.scan import read_label, read_scan
from slicewise.reporting.figures.examples import Example, draw_examples
from slicewise.segmentation.profiling import NOT_PROFILED, TrainingScans
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.runs import TrackedRun

_EXAMPLES = 4


def log_cases(run: TrackedRun, cases: FoldCases, data_set: str) -> None:
    """Log which cases were used for what."""
    run.log_cases("training", {case.name: case.key for case in cases.train}, data_set)
    run.log_cases("validation", {case.name: case.key for case in cases.val}, data_set)


def run_facts(
    cases: FoldCases,
    config: Config,
    kind: Literal["network", "baseline"],
    scored: ScoredCases,
    seconds: float,
    scans: TrainingScans = NOT_PROFILED,
) -> RunFacts:
    """The facts about a run of a fold.

    Args:
        cases: of the fold.
        config: of the run.
        kind: what segmented.
        scored: the held-out cases.
        seconds: of training or fitting.
        scans: what they looked like.
    """
    lost = [*cases.prepared.set_aside, *scored.set_aside]
    axes = stack_axes(config.preprocessing)
    return RunFacts(
        name=config.name,
        kind=kind,
        fold=cases.fold.number,
        folds=cases.fold.kind,
        training_cases=len(cases.train),
        training_patients=len({case.patient for case in cases.train}),
        training_slices=sum(case.label.shape[axis] for case in cases.train for axis in axes),
        validation_cases=len(cases.val),
        validation_patients=len({case.patient for case in cases.val}),
        shared_patients=cases.shared_patients,
        set_aside={item.name: item.reason for item in lost},
        seconds=seconds,
        version=__version__,
        date=datetime.now(tz=UTC).date().isoformat(),
        scans=scans.looks,
        unlike=scans.unlike,
    )


def log_results(
    run: TrackedRun,
    step: int,
    config: Config,
    cases: FoldCases,
    scored: ScoredCases,
    folder: RunFolder,
    more_files: Sequence[Path],
) -> None:
    """Seal the folder, log the final metrics, draw and log the examples, log the files.

    Args:
        run: that is open.
        step: of the metrics.
        config: of the run.
        cases: whose held-out side was scored.
        scored: the held-out cases.
        folder: of the run, with its masks.
        more_files: besides configuration, scores and results.
    """
    folder.seal()
    run.log_metrics(step, final_metrics(summarize(scored.scores)))
    if shown := _examples(cases.held_out, scored.scores, folder.masks, config):
        title = f"{config.name}, fold {cases.fold.number}: held-out cases, worst to best"
        draw_examples(shown, config.data.labels, folder.examples, title)
        run.log_figure(folder.examples)
    written = (folder.config, folder.scores, folder.path / RESULTS, folder.path / CHECKSUMS)
    for path in (*written, *more_files):
        run.log_artifact(path)


def _examples(
    cases: Sequence[Case], scores: Sequence[Score], masks: Path, config: Config
) -> list[Example]:
    """A few scored cases, from the worst to the best, read again to be drawn."""
    by_name = {case.name: case for case in cases}
    chosen = []
    for name in _spread(scores):
        case = by_name[name]
        assert case.label is not None
        scan = read_scan(case.images[0], config.reading)
        mask = read_label(mask_path(masks, case), scan, config.reading)
        reference = read_label(case.label, scan, config.reading, config.data.labels)
        chosen.append(Example(name, scan, mask, reference))
    return chosen


def _spread(scores: Sequence[Score]) -> list[str]:
    """Names of a few cases, evenly from the worst mean Dice to the best."""
    dice: dict[str, list[float]] = {}
    for score in scores:
        known = dice.setdefault(score.case, [])
        if not math.isnan(score.dice):
            known.append(score.dice)
    ranked = sorted(dice, key=lambda name: sum(dice[name]) / max(len(dice[name]), 1))
    count = min(_EXAMPLES, len(ranked))
    places = [round(i * (len(ranked) - 1) / max(count - 1, 1)) for i in range(count)]
    return [ranked[place] for place in places]
