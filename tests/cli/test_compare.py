"""Two runs are compared by their folders, ids or tables, in words that a reader may trust."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slicewise.cli.compare import _METRICS as METRIC_NAMES
from slicewise.evaluation.results import CONFIG, RunFacts, write_results
from slicewise.evaluation.scored_run import ScoredRun, distinct_names
from slicewise.evaluation.scores import Score, write_scores
from slicewise.evaluation.statistics import METRICS
from slicewise.workflows.scored_runs import find_scores

Slicewise = Callable[..., Any]

LEVELS = (0.5, 0.62, 0.7, 0.74, 0.81, 0.83, 0.9, 0.64)
FACTS = RunFacts(
    "tiny", "network", 0, "by patient", 20, 20, 300, 8, 8, 0, {}, 1.0, "0.1.0", "2026-11-22"
)


def scores(dice: Sequence[float] = LEVELS, structure: str = "core", start: int = 0) -> list[Score]:
    return [
        Score(f"c{n}", f"p{n}", structure, "detected", value, value, 1, 1, 9 - value, 1, 1, 1, 1)
        for n, value in enumerate(dice, start)
    ]


@pytest.fixture
def a_run(tmp_path: Path, tiny: Path) -> Callable[..., Path]:
    """Write the folder of a run whose configuration bears its name."""

    def write(name: str, rows: list[Score], **facts: Any) -> Path:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        text = tiny.read_text(encoding="utf-8").replace("name: tiny", f"name: {name.split('/')[0]}")
        (folder / CONFIG).write_text(text, encoding="utf-8")
        write_results(folder, replace(FACTS, name=name.split("/")[0], **facts), rows, {})
        return folder

    return write


@pytest.fixture
def compare(slicewise: Slicewise, tmp_path: Path) -> Callable[..., Any]:
    """Compare two runs, with the differences in ``differences``."""

    def call(*arguments: str | Path) -> Any:
        return slicewise("compare", *arguments, "--work", tmp_path, "--out", tmp_path / "found")

    return call


def test_the_better_run_in_table_words_file_and_picture(
    a_run: Callable[..., Path], compare: Slicewise, tmp_path: Path
) -> None:
    better = [value + 0.05 + 0.001 * n for n, value in enumerate(LEVELS)]
    old, new = a_run("old", scores()), a_run("new", scores(better))
    done = compare(old, new)
    assert done.returncode == 0, done.stderr
    assert "Dice: new minus old" in done.stdout
    # Eight patients of eight: 2 / 2^8.
    assert "core: new is better, Dice by 0.0535 (corrected p = 0.0078)." in done.stdout
    rows = list(csv.DictReader((tmp_path / "found" / "differences.csv").read_text().splitlines()))
    assert [row["case"] for row in rows] == [f"c{n}" for n in range(8)]
    assert float(rows[7]["difference"]) == pytest.approx(0.057)
    with Image.open(tmp_path / "found" / "differences.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10
    assert "fewer than" not in done.stderr
    assert "folds differ" not in done.stderr


def test_of_distances_the_smaller_is_better(a_run: Callable[..., Path], compare: Slicewise) -> None:
    better = [value + 0.05 for value in LEVELS]
    done = compare(a_run("old", scores()), a_run("new", scores(better)), "--metric", "hd95_mm")
    assert done.returncode == 0, done.stderr
    assert "core: new is better, HD95 by 0.05 mm" in done.stdout


def test_few_patients_allow_no_words(a_run: Callable[..., Path], compare: Slicewise) -> None:
    better = [value + 0.05 for value in LEVELS[:5]]
    done = compare(a_run("old", scores(LEVELS[:5])), a_run("new", scores(better)))
    assert done.returncode == 0, done.stderr
    assert "core: nothing can be said about which run is better" in done.stdout
    assert "p = 0.0625" in done.stdout
    assert "fewer than 6 patients: no p-value can be below 0.05: core" in done.stderr


def test_each_structure_of_few_patients_is_named(
    a_run: Callable[..., Path], compare: Slicewise
) -> None:
    old, new = (scores(dice) + scores(dice[:3], "rim") for dice in (LEVELS, LEVELS[::-1]))
    done = compare(a_run("old", old), a_run("new", new))
    assert done.returncode == 0, done.stderr
    assert "fewer than 6 patients: no p-value can be below 0.05: rim\n" in done.stderr


def test_what_a_run_missed_is_said(a_run: Callable[..., Path], compare: Slicewise) -> None:
    nearer = [
        replace(row, hd95_mm=math.nan if row.case == "c7" else row.hd95_mm - 1) for row in scores()
    ]
    done = compare(a_run("old", scores()), a_run("new", nearer), "--metric", "hd95_mm")
    assert done.returncode == 0, done.stderr
    assert "left out" in done.stdout
    assert (
        "core: new is better where both found it, HD95 by 1.00 mm (corrected p = 0.0156); "
        "old alone missed 0, new alone 1."
    ) in done.stdout
    assert "core: left out, as undefined in a run: 1 case (1 in new alone)" in done.stderr


def test_the_help_lists_every_metric() -> None:
    assert METRIC_NAMES.split(", ") == list(METRICS)


def test_a_run_beside_itself(a_run: Callable[..., Path], compare: Slicewise) -> None:
    folder = a_run("same", scores())
    done = compare(folder, folder)
    assert done.returncode == 0, done.stderr
    assert "core: both runs are equal in every case." in done.stdout
    assert "second minus first" in done.stdout


def test_a_metric_that_no_run_knows(a_run: Callable[..., Path], compare: Slicewise) -> None:
    folder = a_run("same", scores())
    done = compare(folder, folder, "--metric", "calibration_error")
    assert done.returncode == 0, done.stderr
    assert "core: no case has the calibration error in both runs." in done.stdout
    assert "core: left out, as undefined in a run: 8 cases" in done.stderr


def test_what_weakens_a_comparison_is_said(a_run: Callable[..., Path], compare: Slicewise) -> None:
    old = a_run("old", scores() + scores((0.5,), "rim"))
    new = a_run("new", scores(start=1), fold=1, folds="by case", shared_patients=3)  # c1 to c8
    done = compare(old, new)
    assert done.returncode == 0, done.stderr
    for text in (
        "left out, as only old has scored them: c0\n",
        "left out, as only new has scored them: c8\n",
        "left out, as only old has them: rim",
        "new: 3 patients in both training and validation, so its scores are optimistically biased",
        "the folds differ, so the runs learned from different cases: "
        "old fold 0 (by patient); new fold 1 (by case)",
    ):
        assert text in done.stderr


def test_folds_are_joined(a_run: Callable[..., Path], compare: Slicewise, tmp_path: Path) -> None:
    for fold, start in ((0, 0), (1, 8)):
        a_run(f"whole/fold-{fold}", scores(start=start), fold=fold)
    table = tmp_path / "other.csv"
    write_scores(scores([*LEVELS, *LEVELS]), table)
    done = compare(tmp_path / "runs" / "whole", table)
    assert done.returncode == 0, done.stderr
    assert "other minus whole" in done.stdout
    rows = (tmp_path / "found" / "differences.csv").read_text().splitlines()
    assert len(rows) == 1 + 16
    assert "other: nothing is known about its training" in done.stderr


def test_a_trained_run_by_its_id(
    slicewise: Slicewise, model: Path, work: Path, tmp_path: Path
) -> None:
    run_id = json.loads((model / "run.json").read_text())["run_id"]
    done = slicewise("compare", run_id, model, "--work", work)
    assert done.returncode == 0, done.stderr
    assert "second minus first" in done.stdout
    table = tmp_path / "patient Doe" / "table.csv"
    table.parent.mkdir()
    table.write_bytes((model / "scores.csv").read_bytes())
    assert "table minus tiny" in slicewise("compare", run_id, table, "--work", work).stdout
    assert (work / "compare" / "differences.png").is_file()
    assert str(tmp_path) not in done.stdout


def test_names_are_those_of_configurations_and_no_folders(
    a_run: Callable[..., Path], tmp_path: Path
) -> None:
    old, new = a_run("old", scores()), a_run("new", scores())
    folders = [old.parents[1] / "patient Doe" / name for name in ("a", "b")]
    folders[0].parent.mkdir()
    for folder in folders:
        old.rename(folder) if folder.name == "a" else new.rename(folder)
    runs = (find_scores(folder, tmp_path) for folder in folders)
    assert distinct_names(*runs) == ("old", "new")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({}, {"fold": 1}, ("tiny network fold 0", "tiny network fold 1")),
        ({}, {"kind": "baseline"}, ("tiny network", "tiny baseline")),
        ({}, {"name": "large"}, ("tiny", "large")),
    ],
)
def test_facts_tell_runs_of_one_name_apart(
    first: dict[str, Any], second: dict[str, Any], expected: tuple[str, str]
) -> None:
    runs = (ScoredRun([], [replace(FACTS, **facts)]) for facts in (first, second))
    assert distinct_names(*runs) == expected


def test_ids_tell_apart_what_facts_do_not() -> None:
    runs = (ScoredRun([], [FACTS], "tiny", run_id) for run_id in ("0123abcd", ""))
    assert distinct_names(*runs) == ("tiny 0123abcd", "tiny")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("a/scores.csv", "b/scores.csv", ("first", "second")),
        ("a/unet.csv", "a/baseline.csv", ("unet", "baseline")),
    ],
)
def test_tables_are_named_after_their_files(
    tmp_path: Path, first: str, second: str, expected: tuple[str, str]
) -> None:
    for name in (first, second):
        write_scores(scores(), tmp_path / name)
    runs = (find_scores(tmp_path / name, tmp_path) for name in (first, second))
    assert distinct_names(*runs) == expected


def test_mistakes(a_run: Callable[..., Path], compare: Slicewise, tmp_path: Path) -> None:
    run = a_run("run", scores())
    silent, other = a_run("silent", []), a_run("other", scores(structure="rim"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign.csv").write_text("a,b\n1,2\n")
    for arguments, code, text in (
        ((run, run, "--metric", "dise"), 2, "one of dice, iou"),
        ((run, other), 1, "cases and structures that both have scored"),
        ((run, silent), 1, "finish the training with --resume"),
        ((run, tmp_path / "absent.csv"), 1, "No such file"),
        ((run, tmp_path / "foreign.csv"), 1, "no column case"),
        ((run, tmp_path / "absent"), 1, "the folder of a run, a run id"),
        ((tmp_path / "empty", run), 1, "the folder of a run, with config.yaml"),
    ):
        done = compare(*arguments)
        assert done.returncode == code, done.stderr
        assert text in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "found").exists()
