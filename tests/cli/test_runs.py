"""Runs are listed, exported and imported by the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Slicewise = Callable[..., Any]


def test_a_model_moves_to_another_work_folder_and_predicts_the_same(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    run_id = json.loads((model / "run.json").read_text())["run_id"]
    file, place = tmp_path / "model.tar.gz", tmp_path / "work"
    done = slicewise("runs", "export", run_id, "--out", file, "--work", work)
    assert done.returncode == 0, done.stderr
    done = slicewise("runs", "import", file, "--work", place)
    assert done.returncode == 0, done.stderr
    assert "1 run imported, 0 skipped" in done.stdout
    assert "models:/tiny/1" in done.stdout
    listed = tmp_path / "runs.json"
    done = slicewise("runs", "list", "--json", listed, "--work", place)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(listed.read_text())
    assert row["name"] == "fold 0, tiny"
    assert row["status"] == "FINISHED"
    assert row["run_id"] != run_id
    assert 0 <= row["dice"] <= 1
    scan = scans / "images" / "case1.nii.gz"
    masks = []
    for name, folder in (("here", work), ("there", place)):
        out = tmp_path / f"{name}.nii.gz"
        done = slicewise("predict", "models:/tiny/1", scan, "--out", out, "--work", folder)
        assert done.returncode == 0, done.stderr
        masks.append(out.read_bytes())
    assert masks[0] == masks[1]
    assert str(scans).encode() not in file.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        ((), 2, "none of them"),
        (("--all", "--model", "tiny"), 2, "both"),
        (("--all", "--out", "runs.zip"), 2, "runs.zip"),
        (("0" * 32,), 1, "no such run"),
    ],
)
def test_mistakes_of_an_export_are_named(
    slicewise: Slicewise, model: Path, work: Path, arguments: tuple[str, ...], code: int, found: str
) -> None:
    del model
    done = slicewise("runs", "export", *arguments, "--work", work)
    assert done.returncode == code
    assert found in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_named(slicewise: Slicewise, work: Path, tmp_path: Path) -> None:
    done = slicewise("runs", "import", tmp_path / "none.tar", "--work", work)
    assert done.returncode == 1
    assert "none.tar" in done.stderr
