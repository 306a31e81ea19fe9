"""The check of a data set, from Python."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from tests.recorded_progress import RecordedProgress

from slicewise.config import Config, load_config
from slicewise.dataset.catalogue import Case, Catalogue
from slicewise.errors import DataError, ScanError
from slicewise.workflows import check as checking
from slicewise.workflows.check import CheckOptions, check, check_cases


def test_the_table_of_a_sound_set(scans: Path, tiny: Path, tmp_path: Path) -> None:
    result = check(CheckOptions(scans, load_config(tiny), work=tmp_path))
    assert result.is_sound
    assert (result.html, result.json) == (None, None)
    assert list(result.table.index) == [f"case{number}" for number in range(6)]
    row = result.table.loc["case3"]
    assert (row["shape"], row.orientation, row.plane) == ((22, 19, 5), "LAS", "axial")
    assert list(result.table.patient) == [1, 2, 3, 4, 5, 6]
    assert set(result.table.problems) == {""}


def test_a_damaged_scan_is_a_problem_of_its_row(scans: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(scans, root)
    damaged = root / "images" / "case5.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    (root / "labels" / "case1.nii.gz").unlink()
    config = Config.defaults(data={"allow_unpaired": True})
    progress = RecordedProgress()
    result = check(CheckOptions(root, config, work=tmp_path / "work"), progress)
    assert not result.is_sound
    assert "expected" in result.table.loc["case5", "problems"]
    assert [item.name for item in result.set_aside] == ["case1"]
    assert any("set aside: case1" in text for text in progress.messages)
    (task,) = [task for task in progress.tasks if task.description == "checking"]
    assert task.completed == [1, 2, 3, 4, 5]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none"):
        check(CheckOptions(tmp_path / "none", work=tmp_path / "work"))


def test_a_worker_that_dies_costs_one_case(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_: object, tasks: list[Any], __: int) -> Iterator[tuple[Any, ScanError]]:
        error = ScanError("a", expected="its process to finish", found="a death", remedy="none")
        yield from ((task, error) for task in tasks)

    monkeypatch.setattr(checking, "run_on_scans", die)
    catalogue = Catalogue(Path(), (Case("a", "p", (Path("a.nii"),), Path("a_seg.nii")),))
    config = Config.model_validate({"name": "x", "data": {}, "training": {"steps": 1}})
    (drawn,) = check_cases(catalogue, config, 1, with_thumbnails=True)
    assert drawn.case.problems == ["expected its process to finish, found a death"]
    assert drawn.case.labelled
    assert drawn.thumbnail is None


@pytest.mark.slow
@pytest.mark.fault(66, "Q")
def test_one_bad_scan_in_a_thousand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def serially(check_one: Any, tasks: list[Any], _: int) -> Iterator[tuple[Any, Any]]:
        yield from ((task, check_one(task)) for task in tasks)

    monkeypatch.setattr(checking, "run_on_scans", serially)
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    image = nib.Nifti1Image(voxels, np.eye(4)).to_bytes()
    label = nib.Nifti1Image((voxels > 20).astype(np.uint8), np.eye(4)).to_bytes()
    root = tmp_path / "set"
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for number in range(1000):
        name = f"case_{number:04d}.nii"
        # One of them lacks a part of its last voxel.
        own = np.random.default_rng(number).integers(0, 1000, 60, dtype=np.int16)
        content = image[:-120] + own.tobytes()
        (root / "images" / name).write_bytes(content[: -1 if number == 500 else None])
        (root / "labels" / name).write_bytes(label)
    result = check(CheckOptions(root, work=tmp_path / "work", workers=1))
    assert (result.overview.cases, result.overview.unusable) == (1000, 1)
    assert "truncated" in result.table.loc["case_0500", "problems"]
    assert not result.is_sound
