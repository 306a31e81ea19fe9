"""Results of searches as pandas tables."""

from __future__ import annotations

import math
from pathlib import Path

from slicewise.evaluation.ablation import AblationRow
from slicewise.evaluation.paired_difference import PairedDifference
from slicewise.workflows.ablate import Ablation
from slicewise.workflows.sweep import SweepResult
from slicewise.workflows.sweep_study import Outcome


def test_an_ablation_has_a_row_a_variant() -> None:
    fields = dict.fromkeys(PairedDifference.__dataclass_fields__, math.nan)
    gain = PairedDifference(**{**fields, "mean": 0.02, "cases": 5, "patients": 4})
    found = Ablation((AblationRow("wide", ("network.features=[8]",), 2, 0.8, gain, 1.5),), Path())
    row = found.table.loc["wide"]
    assert (row.dice, row.difference, row.cases, row.cpu_ratio) == (0.8, 0.02, 5, 1.5)


def test_a_sweep_has_a_row_a_trial() -> None:
    key = "training.learning_rate"
    best = Outcome(1, {key: 0.01}, "complete", 0.7, 12.0)
    trials = (Outcome(0, {key: 0.5}, "failed", None, 3.0), best)
    found = SweepResult(best, trials, Path(), Path(), Path())
    assert found.table.index.name == "trial"
    assert found.table.loc[1, key] == 0.01
    assert list(found.table.state) == ["failed", "complete"]
    assert math.isnan(found.table.loc[0, "dice"])
