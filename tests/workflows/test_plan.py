"""A planned configuration, from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicewise.config import load_config
from slicewise.errors import OutputError, UsageError
from slicewise.workflows.plan import PlanOptions, plan


def test_a_plan_says_why(scans: Path, tmp_path: Path) -> None:
    settings = ("network.features=[4, 8]", "data.labels={core: 3}")
    options = PlanOptions(
        scans, tmp_path / "mine.yaml", 1, settings, name="own", work=tmp_path / "work"
    )
    result = plan(options)
    assert load_config(result.path) == result.config
    assert (result.config.name, result.config.data.root) == ("own", scans)
    assert result.table.loc["network.features", "reason"] == "set by the user"
    assert result.table.loc["network.features", "value"] == "4, 8"
    assert dict(result.data_set)["cases"].startswith("6 with labels")
    assert result.set_aside == ()
    with pytest.raises(OutputError, match="`overwrite`"):
        plan(options)


def test_one_budget(scans: Path, tmp_path: Path) -> None:
    options = PlanOptions(scans, tmp_path / "a.yaml", 1, ("training.steps=4",), work=tmp_path / "w")
    with pytest.raises(UsageError, match="`budget_minutes`"):
        plan(options)
