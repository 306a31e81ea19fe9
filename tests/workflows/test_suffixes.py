"""Files of a certain kind have the ending of that kind, whichever command writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slicewise.config import Config
from slicewise.errors import UsageError
from slicewise.workflows.benchmark.run import BenchmarkOptions, benchmark
from slicewise.workflows.check import CheckOptions, check
from slicewise.workflows.convert import ConvertOptions, convert
from slicewise.workflows.describe import DescribeOptions, describe
from slicewise.workflows.evaluate import EvaluateOptions, evaluate
from slicewise.workflows.plan import PlanOptions, plan
from slicewise.workflows.promote import ListModelsOptions, list_models
from slicewise.workflows.transfer import ExportOptions, ListRunsOptions, export_to_file, list_runs
from slicewise.workflows.view import ViewOptions, view

SMALL = Config.defaults("small", labels={"a": 1}, network={"features": [4], "window": [16, 16]})
SUFFIXES = {
    "check html": ".html",
    "check json": ".json",
    "convert json": ".json",
    "plan": ".yaml",
    "evaluate": ".csv",
    "evaluate json": ".json",
    "view": ".html",
    "describe": ".svg",
    "bench": ".json",
    "models": ".json",
    "runs list": ".json",
    "runs export": ".tar",
}


def commands(data: Path, out: Path, work: Path) -> dict[str, Callable[[], object]]:
    """Each command that writes a file."""
    return {
        "check html": lambda: check(CheckOptions(data, html=out, work=work)),
        "check json": lambda: check(CheckOptions(data, json=out, work=work)),
        "convert json": lambda: convert(ConvertOptions(data, work, json=out, work=work)),
        "plan": lambda: plan(PlanOptions(data, out, work=work)),
        "evaluate": lambda: evaluate(EvaluateOptions(data, data, out)),
        "evaluate json": lambda: evaluate(EvaluateOptions(data, data, json=out)),
        "view": lambda: view(ViewOptions(data / "images", out=out, work=work)),
        "describe": lambda: describe(DescribeOptions(SMALL, out, work)),
        "bench": lambda: benchmark(BenchmarkOptions(json=out, work=work)),
        "models": lambda: list_models(ListModelsOptions(json=out, work=work)),
        "runs list": lambda: list_runs(ListRunsOptions(json=out, work=work)),
        "runs export": lambda: export_to_file(ExportOptions(out, everything=True, work=work)),
    }


@pytest.mark.parametrize("command", SUFFIXES)
def test_another_ending_is_refused(command: str, scans: Path, tmp_path: Path) -> None:
    suffix, out = SUFFIXES[command], tmp_path / "out" / "x.txt"
    with pytest.raises(UsageError, match=rf"ends in \{suffix}") as caught:
        commands(scans, out, tmp_path / "work")[command]()
    assert f"x{suffix}" in caught.value.remedy
    assert not out.parent.exists()


def test_upper_case_is_the_same_ending(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "PAGE.HTM"
    view(ViewOptions(scans / "images" / "case0.nii.gz", out=out, work=tmp_path / "work"))
    assert out.exists()
