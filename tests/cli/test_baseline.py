"""The classical baseline through the command alone: its folder, its fairness, its refusals."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slicewise.evaluation.results import read_results
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.nifti.writing import write_mask
from slicewise.tracking.store import open_store

Slicewise = Callable[..., Any]


@pytest.fixture(scope="module")
def baseline(
    slicewise: Slicewise,
    scans: Path,
    tiny: Path,
    work: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, str]:
    """The folder of a baseline, and what the command printed."""
    out = tmp_path_factory.mktemp("baseline") / "fold0"
    done = slicewise("baseline", tiny, "--set", f"data.root={scans}", "--out", out, "--work", work)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "scores.csv").read_text().splitlines()))


def test_the_folder_is_that_of_a_run(baseline: tuple[Path, str]) -> None:
    out, _ = baseline
    (results,) = read_results(out)
    assert results.facts is not None
    assert (results.facts.kind, results.facts.fold) == ("baseline", 0)
    assert (results.facts.training_cases, results.facts.validation_cases) == (3, 3)
    assert {f"{score.case}.nii.gz" for score in results.scores} == {
        path.name for path in (out / "masks").glob("[!.]*")
    }
    assert dict(results.reliability) == {}
    assert (out / "examples.png").stat().st_size > 1000


def test_a_bright_block_needs_no_network(baseline: tuple[Path, str]) -> None:
    assert all(float(row["dice"]) > 0.97 for row in rows(baseline[0]))


def test_held_out_cases_are_those_of_the_network(baseline: tuple[Path, str], model: Path) -> None:
    assert [row["case"] for row in rows(baseline[0])] == [row["case"] for row in rows(model)]


def test_what_was_chosen_is_printed_and_kept(baseline: tuple[Path, str]) -> None:
    out, printed = baseline
    content = json.loads((out / "baseline.json").read_text())
    words = content["structures"]["core"]["words"]
    assert any(step in words for step in ("k-means class", "normalised", "prior"))
    assert f"core: {words}" in printed
    assert "selected on 3 of 3 training cases" in printed
    assert content["judged_by_other_patients"] is True


def test_the_run_is_tracked_as_a_baseline(baseline: tuple[Path, str], work: Path) -> None:
    out, _ = baseline
    run_id = json.loads((out / "run.json").read_text())["run_id"]
    run = open_store(work).client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["slicewise.kind"] == "baseline"
    dice = [float(row["dice"]) for row in rows(out)]
    assert run.data.metrics["dice"] == pytest.approx(np.mean(dice), abs=1e-5)


def test_no_label_of_a_held_out_case_is_seen(
    slicewise: Slicewise, baseline: tuple[Path, str], scans: Path, tiny: Path, tmp_path: Path
) -> None:
    """Poisoned held-out labels change the scores, and neither the choice nor a mask."""
    out, _ = baseline
    poisoned = tmp_path / "scans"
    shutil.copytree(scans, poisoned)
    for row in rows(out):
        path = poisoned / "labels" / f"{row['case']}.nii.gz"
        label = read_nifti(path)
        moved = np.roll(label.voxels, 7, axis=0).astype(np.uint8)
        write_mask(label.with_voxels(moved), label, path)
    arguments = ("--set", f"data.root={poisoned}", "--out", tmp_path / "b", "--work", tmp_path)
    done = slicewise("baseline", tiny, *arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b/baseline.json").read_text() == (out / "baseline.json").read_text()
    for path in (out / "masks").glob("[!.]*"):
        again = read_nifti(tmp_path / "b" / "masks" / path.name)
        np.testing.assert_array_equal(again.voxels, read_nifti(path).voxels)
    assert all(float(row["dice"]) < 0.3 for row in rows(tmp_path / "b"))


def test_a_baseline_is_replaced_only_on_request(
    slicewise: Slicewise,
    baseline: tuple[Path, str],
    scans: Path,
    tiny: Path,
    work: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "b"
    shutil.copytree(baseline[0], out)
    (out / "masks" / "stale.nii.gz").write_bytes(b"")
    before = (out / "scores.csv").read_text()
    arguments = ("baseline", tiny, "--set", f"data.root={scans}", "--out", out, "--work", work)
    refused = slicewise(*arguments)
    assert refused.returncode == 1
    assert "--overwrite" in refused.stderr
    assert (out / "masks" / "stale.nii.gz").exists()
    replaced = slicewise(*arguments, "--overwrite")
    assert replaced.returncode == 0, replaced.stderr
    assert not (out / "masks" / "stale.nii.gz").exists()
    assert (out / "scores.csv").read_text() == before


def test_a_network_is_never_replaced(
    slicewise: Slicewise, scans: Path, tiny: Path, model: Path, work: Path, tmp_path: Path
) -> None:
    before = (model / "last.pt").read_bytes()
    arguments = ("--set", f"data.root={scans}", "--out", model, "--work", work, "--overwrite")
    done = slicewise("baseline", tiny, *arguments)
    assert done.returncode == 1
    assert "last.pt of a training" in done.stderr
    assert (model / "last.pt").read_bytes() == before
    (tmp_path / "fold-1").mkdir()
    (tmp_path / "fold-1" / "last.pt").write_bytes(b"")
    above = ("--set", f"data.root={scans}", "--out", tmp_path, "--work", work)
    assert "fold-1/last.pt of a training" in slicewise("baseline", tiny, *above).stderr


def test_a_baseline_is_no_place_for_a_training(
    slicewise: Slicewise, baseline: tuple[Path, str], tiny: Path, scans: Path, work: Path
) -> None:
    out, _ = baseline
    before = (out / "scores.csv").read_bytes()
    arguments = ("--set", f"data.root={scans}", "--out", out, "--work", work, "--overwrite")
    done = slicewise("train", tiny, *arguments)
    assert done.returncode == 1
    assert "a baseline" in done.stderr
    assert (out / "scores.csv").read_bytes() == before


def test_without_opencv_the_extra_is_named(
    slicewise: Slicewise, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    done = slicewise("baseline", tiny, "--set", f"data.root={tmp_path}", "--work", tmp_path / "w")
    assert done.returncode == 1
    assert "pip install 'slicewise[baseline]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--fold", "9"), 2, "0 to 1"),
        (("--set", "data.labels={}"), 2, "data.labels"),
        (("--set", "data.root=/nowhere/at/all"), 1, "no such file or folder"),
        (("--fold", "all"), 2, "integer"),
    ],
)
def test_mistakes_have_one_message(
    slicewise: Slicewise,
    tiny: Path,
    tmp_path: Path,
    arguments: tuple[str, str],
    code: int,
    text: str,
) -> None:
    done = slicewise("baseline", tiny, *arguments, "--work", tmp_path / "w")
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_pictures_and_a_scan_set_aside(slicewise: Slicewise, tmp_path: Path) -> None:
    """Bright discs in pictures of one slice; a damaged one is left out and the code says so."""
    for folder in ("images", "masks"):
        (tmp_path / "discs" / folder).mkdir(parents=True)
    for number in range(9):
        random = np.random.default_rng(number)
        down, right = np.mgrid[:29, :36]
        disc = (down - random.integers(8, 20)) ** 2 + (right - random.integers(8, 28)) ** 2 <= 20
        grey = random.normal(70, 6, disc.shape) + 120 * disc
        for folder, values in (("images", grey), ("masks", 255 * disc)):
            path = tmp_path / "discs" / folder / f"disc{number}.png"
            Image.fromarray(values.round().astype(np.uint8)).save(path)
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "discs" / "masks" / "disc4.png")
    (tmp_path / "discs.yaml").write_text(
        "name: discs\ndata: {labels: {disc: 255}, fold_count: 3}\n"
        "preprocessing: {foreground: all}\ntraining: {steps: 1}\n"
    )
    arguments = ("--set", f"data.root={tmp_path / 'discs'}", "--work", tmp_path / "work")
    done = slicewise("baseline", tmp_path / "discs.yaml", *arguments)
    assert done.returncode == 8, done.stderr
    out = tmp_path / "work" / "runs" / "discs-baseline" / "fold-0"
    found = rows(out)
    assert len(found) in (2, 3)
    assert all(float(row["dice"]) > 0.97 for row in found)
    assert {path.name for path in (out / "masks").glob("[!.]*")} == {
        f"{row['case']}.png" for row in found
    }
    assert "disc4" in json.loads((out / "results.json").read_text())["facts"]["set_aside"]
