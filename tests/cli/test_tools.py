"""The commands beside the way of the data: benchmark, data sets, the web page."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slicewise.workflows.benchmark import devices, network, reading

Slicewise = Callable[..., Any]


@pytest.mark.slow
def test_bench_measures_everything_once(
    slicewise: Slicewise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "TURNS", 1)
    monkeypatch.setattr(network, "SECONDS_A_TURN", 0)
    monkeypatch.setattr(network, "SCAN_COUNT", 2)
    done = slicewise("bench", "--work", tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "bench.json").read_text())
    rows = content["measurements"]
    count = network.MEASUREMENTS + reading.MEASUREMENTS
    assert len({row["name"] for row in rows}) == len(rows) == count
    assert all(row["value"] > 0 for row in rows)
    rates = [row["gflops"] for row in rows if row["name"].startswith("matrix multiply")]
    for row in rows:
        if row["share"] is not None:
            assert row["share"] == pytest.approx(row["gflops"] / max(rates))


@pytest.mark.slow
def test_bench_compares_two_processes_with_one(
    slicewise: Slicewise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SCAN_COUNT": 2, "TURNS": 1, "STEPS": 1}.items():
        monkeypatch.setattr(devices, name, value)
    done = slicewise("bench", "--only", "devices", "--work", tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "bench.json").read_text())["measurements"]
    assert len(rows) == devices.MEASUREMENTS
    assert all(row["value"] > 0 for row in rows)


def test_data_makes_the_demo_cohort(slicewise: Slicewise, tmp_path: Path) -> None:
    done = slicewise("data", "demo", "--out", tmp_path / "cohort", "--subjects", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "cohort")
    assert "synthetic" in done.stderr
    checked = slicewise("check", tmp_path / "cohort")
    assert checked.returncode == 0, checked.stderr
    assert "3 cases of 3 patients" in checked.stderr


def test_data_knows_its_names(slicewise: Slicewise, tmp_path: Path) -> None:
    done = slicewise("data", "brain", "--out", tmp_path)
    assert done.returncode == 2
    assert "hippocampus" in done.stderr


@pytest.mark.parametrize(("name", "option"), [("demo", "--url"), ("hippocampus", "--subjects")])
def test_data_has_options_of_its_own(
    slicewise: Slicewise, tmp_path: Path, name: str, option: str
) -> None:
    done = slicewise("data", name, "--out", tmp_path, option, "3")
    assert done.returncode == 2
    assert option in done.stderr


def test_mlflow_serves_the_store_of_the_work_folder(
    slicewise: Slicewise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda _, command, __: started.append(command))
    done = slicewise("mlflow", "--work", tmp_path, "--port", "5099")
    assert done.returncode == 0, done.stderr
    (command,) = started
    assert command[command.index("--port") + 1] == "5099"
    assert str(tmp_path / "mlflow" / "mlflow.db") in " ".join(command)
