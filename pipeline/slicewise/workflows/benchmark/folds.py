"""Benchmark of two folds that are trained side by side, against one after the other."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from slicewise.config import load_config
from slicewise.dataset.demo.cohort import DEMO_CONFIG
from slicewise.tracking.store import open_store
from slicewise.workflows.benchmark.measurement import Measurement
from slicewise.workflows.data import DemoDataOptions, make_demo_data
from slicewise.workflows.prepare import PrepareOptions, prepare
from slicewise.workflows.train import TrainOptions, train

SUBJECTS = 8
SETTINGS = (
    "data.fold_count=2",
    "training.budget_minutes=null",
    "training.steps=200",
    "inference.temperature=1.1",
)
"""Of the demo: without the tuning of inference, which takes longer than these trainings."""
PAIRS = 3
MEASUREMENTS = 3
"""Number of results."""


def run_folds_benchmark() -> Iterator[Measurement]:
    """Measure in turns, because the speed of a machine drifts; yields ``MEASUREMENTS`` results.

    Each is the whole of `slicewise train --fold all` on prepared slices: training, masks, scores,
    registration.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort, work = folder / "cohort", folder / "work"
        make_demo_data(DemoDataOptions(cohort, SUBJECTS, 0))
        config = load_config(DEMO_CONFIG, [f"data.root={cohort}", *SETTINGS])
        prepare(PrepareOptions(config, work))
        open_store(work)

        def seconds(parallel: int | None) -> float:
            options = TrainOptions(
                config, None, folder / "folds", work, overwrite=True, parallel=parallel
            )
            begun = time.perf_counter()
            train(options)
            return time.perf_counter() - begun

        pairs = [(seconds(None), seconds(2)) for _ in range(PAIRS)]
    one_by_one, side_by_side = (median(item) for item in zip(*pairs, strict=True))
    yield Measurement("two folds, one after the other", one_by_one, "s")
    yield Measurement("two folds, side by side", side_by_side, "s")
    ratios = ", ".join(f"{first / second:.2f}" for first, second in pairs)
    ratio = median(first / second for first, second in pairs)
    yield Measurement(f"ratio, median of {ratios}", ratio, "x")
