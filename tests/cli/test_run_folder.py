"""A run is found by its folder or its id; what is damaged says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slicewise.config import Config
from slicewise.errors import DataError, SlicewiseError
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.run_index import find_run, remember_run

Slicewise = Callable[..., Any]


def test_a_run_is_found_by_its_names(model: Path, scans: Path, work: Path) -> None:
    run_id = json.loads((model / "run.json").read_text())["run_id"]
    for name in (str(model), run_id):
        found = find_run(name, work)
        assert found.folder.resolve() == model.resolve()
        assert found.data_root == scans.resolve()
    # Another version may be the champion by now; it is a run of this store as well.
    assert find_run("models:/tiny/1", work).folder.is_dir()


def test_where_a_run_lies_is_for_its_owner_alone(model: Path, work: Path) -> None:
    run_id = json.loads((model / "run.json").read_text())["run_id"]
    record = work / "private" / "runs" / f"{run_id}.json"
    assert record.stat().st_mode & 0o077 == 0
    assert record.parent.stat().st_mode & 0o077 == 0


def test_all_folds_are_found_by_the_id_of_the_whole(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    work, out = tmp_path / "work", tmp_path / "all"
    arguments = ("--fold", "all", "--set", f"data.root={scans}", "--out", out, "--work", work)
    done = slicewise("train", tiny, *arguments)
    assert done.returncode == 0, done.stderr
    ids = [json.loads(path.read_text())["run_id"] for path in sorted(out.rglob("run.json"))]
    assert len(set(ids)) == 3
    whole = json.loads((out / "run.json").read_text())["run_id"]
    assert find_run(whole, work).folder == out.resolve()
    assert find_run(str(out), work).data_root == scans.resolve()


def test_a_folder_without_a_record_is_a_run_all_the_same(tmp_path: Path) -> None:
    assert find_run(str(tmp_path), tmp_path / "work").data_root is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"other": 1}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DataError, match=r"run\.json"):
        find_run(str(tmp_path), tmp_path / "work")


def test_a_run_whose_folder_is_gone(tmp_path: Path) -> None:
    config = Config.model_validate(
        {"name": "gone", "data": {"labels": {"core": 1}}, "training": {"steps": 1}}
    )
    run_id = "0123456789abcdef0123456789abcdef"
    folder = tmp_path / "run"
    remember_run(tmp_path / "work", run_id, RunFolder(folder), config)
    assert find_run(run_id, tmp_path / "work").data_root is None
    (folder / "run.json").unlink()
    folder.rmdir()
    with pytest.raises(DataError, match="is gone"):
        find_run(run_id, tmp_path / "work")


def test_what_is_no_run(tmp_path: Path) -> None:
    for name in ("nothing", "f" * 32, "models:/nothing@champion"):
        with pytest.raises(SlicewiseError, match=name):
            find_run(name, tmp_path / "work")
