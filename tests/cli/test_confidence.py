"""How sure a model is of its masks stands in a table next to them, least confident first."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicewise import load_model
from slicewise.cli.predict import show_least_confident
from slicewise.errors import ScanError
from slicewise.evaluation.confidence_table import write_confidences
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.nifti.writing import write_volume
from slicewise.segmentation.confidence import StructureConfidence
from slicewise.segmentation.unlikeness import UNKNOWN, Unlikeness

Slicewise = Callable[..., Any]


def sure(volume_ml: float, estimated: float, expected: float = math.nan) -> StructureConfidence:
    error = math.nan if math.isnan(expected) else 0.02
    return StructureConfidence("core", volume_ml, math.nan, estimated, expected, error, 0.1)


CONFIDENCES = {
    "good": [sure(2, 0.95)],
    "poor": [sure(2, 0.4)],
    "predicted": [sure(3, 0.9, 0.5)],
    "empty": [sure(0, 0)],
    "unlike": [sure(2, 0.99)],
}
UNLIKE = dict.fromkeys(CONFIDENCES, UNKNOWN) | {"unlike": Unlikeness(3.5, ("too cold", "too wet"))}


def test_least_confident_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_confidences(CONFIDENCES, UNLIKE, tmp_path / "confidence.csv")
    rows = list(csv.DictReader((tmp_path / "confidence.csv").read_text().splitlines()))
    assert [row["scan"] for row in rows] == ["unlike", "empty", "poor", "predicted", "good"]
    assert rows[3]["predicted_dice"] == "0.5"
    assert (rows[1]["predicted_dice"], rows[1]["predicted_dice_error"]) == ("", "")
    assert (rows[0]["unlikeness"], rows[0]["unlike"]) == ("3.5", "too cold; too wet")
    assert (rows[1]["unlikeness"], rows[1]["unlike"]) == ("", "")
    show_least_confident([("alone", sure(0, 0))])
    assert "alone" in capsys.readouterr().out


def test_a_folder_of_masks_has_its_table(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    done = slicewise("predict", model, scans / "images", "--out", tmp_path, "--work", work)
    assert done.returncode == 0, done.stderr
    assert "To check first" in done.stdout
    rows = list(csv.DictReader((tmp_path / "confidence.csv").read_text().splitlines()))
    assert sorted(row["scan"] for row in rows) == [f"case{number}" for number in range(6)]
    estimated = [float(row["estimated_dice"]) for row in rows]
    assert estimated == sorted(estimated)
    for row in rows:
        mask = read_nifti(tmp_path / f"{row['scan']}.nii.gz")
        volume_ml = (mask.voxels == 3).sum() * mask.voxel_volume_ml
        assert float(row["volume_ml"]) == pytest.approx(volume_ml, rel=1e-4)
    assert not list(tmp_path.glob("*_uncertainty.nii.gz"))


def test_uncertainty_lies_beside_the_mask(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    scan, out = scans / "images" / "case0.nii.gz", tmp_path / "mask.nii.gz"
    asked = ("--out", out, "--work", work, "--uncertainty", "--probabilities")
    done = slicewise("predict", model, scan, *asked)
    assert done.returncode == 0, done.stderr
    assert "To look at first" not in done.stdout
    found = read_nifti(tmp_path / "mask_uncertainty.nii.gz")
    assert found.grid_difference_voxels(read_nifti(scan)) < 1e-3
    p = read_nifti(tmp_path / "mask_probabilities.nii.gz", volume=1).voxels.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nan_to_num(p * np.log2(p)) - np.nan_to_num((1 - p) * np.log2(1 - p))
    np.testing.assert_allclose(found.voxels, entropy, atol=1e-3)
    assert (tmp_path / "mask_confidence.csv").is_file()


def test_a_mask_alone_stays_alone(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    scan = scans / "images" / "case0.nii.gz"
    done = slicewise("predict", model, scan, "--out", tmp_path / "m.nii.gz", "--work", work)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.glob("[!.]*")} == {"m.nii.gz", "m.ctbl"}


def test_maps_beside_masks_are_no_masks(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    asked = ("--out", masks, "--work", work, "--uncertainty", "--probabilities")
    assert slicewise("predict", model, scans / "images", *asked).returncode == 0
    scores = tmp_path / "scores.csv"
    done = slicewise("evaluate", masks, scans / "labels", "--out", scores)
    assert done.returncode == 0, done.stderr
    assert len(scores.read_text().splitlines()) == 7


def test_the_expected_dice_of_all_folds(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    folds = tmp_path / "folds"
    shutil.copytree(model, folds / "fold-0")
    line = "{intercept: 0.25, slope: 0.5, error: 0.03}"
    (folds / "inference.yaml").write_text(f"inference:\n  dice_prediction: {{core: {line}}}\n")
    out = tmp_path / "masks"
    done = slicewise("predict", folds, scans / "images", "--out", out, "--work", work)
    assert done.returncode == 0, done.stderr
    for row in csv.DictReader((out / "confidence.csv").read_text().splitlines()):
        expected = 0.25 + 0.5 * float(row["estimated_dice"])
        assert float(row["predicted_dice"]) == pytest.approx(expected, abs=1e-4)
        assert row["predicted_dice_error"] == "0.03"
    assert "±" in done.stdout


@pytest.fixture(scope="module")
def mixed(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan of the training, and one whose voxels are three times as large."""
    folder = tmp_path_factory.mktemp("mixed")
    shutil.copyfile(scans / "images" / "case0.nii.gz", folder / "like.nii.gz")
    scan = read_nifti(scans / "images" / "case1.nii.gz")
    write_volume(replace(scan, affine=scan.affine @ np.diag([3, 3, 3, 1])), folder / "large.nii.gz")
    return folder


@pytest.mark.fault(134, "W")
def test_a_scan_unlike_the_training_is_marked(
    slicewise: Slicewise, model: Path, mixed: Path, work: Path, tmp_path: Path
) -> None:
    done = slicewise("predict", model, mixed, "--out", tmp_path, "--work", work)
    assert done.returncode == 8, done.stderr
    assert "unlike the training: large: " in done.stderr
    assert "voxel spacing bottom to top 12 mm; training had 4 mm" in done.stderr
    rows = {
        row["scan"]: row
        for row in csv.DictReader((tmp_path / "confidence.csv").read_text().splitlines())
    }
    assert list(rows) == ["large", "like"]
    assert "field of view" in rows["large"]["unlike"]
    assert float(rows["large"]["unlikeness"]) > 1 > float(rows["like"]["unlikeness"])
    assert rows["like"]["unlike"] == ""
    assert (tmp_path / "large.nii.gz").exists()


@pytest.mark.fault(134, "E")
def test_it_is_refused_on_request(
    slicewise: Slicewise, model: Path, mixed: Path, work: Path, tmp_path: Path
) -> None:
    asked = ("--refuse-unlike", "--work", work)
    done = slicewise("predict", model, mixed, "--out", tmp_path / "masks", *asked)
    assert done.returncode == 8, done.stderr
    assert sorted(path.name for path in (tmp_path / "masks").glob("*.nii.gz")) == ["like.nii.gz"]
    alone = slicewise("predict", model, mixed / "large.nii.gz", "--out", tmp_path / "one", *asked)
    assert alone.returncode == 1
    assert "a scan like those that the model was trained on" in alone.stderr
    loaded = load_model(model)
    assert loaded.predict(mixed / "large.nii.gz").unlikeness.reasons
    with pytest.raises(ScanError, match="voxel spacing"):
        loaded.predict(mixed / "large.nii.gz", refuse_unlike=True)


def test_processes_write_what_one_writes(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    written = []
    for out, more in ((tmp_path / "one", ()), (tmp_path / "two", ("--workers", 2))):
        done = slicewise("predict", model, scans / "images", "--out", out, "--work", work, *more)
        assert done.returncode == 0, done.stderr
        files = {path.name: path.read_bytes() for path in out.iterdir()}
        marks = [json.loads(line) for line in files.pop(".slicewise.jsonl").splitlines()]
        written.append((files, {mark["file"]: mark for mark in marks}))
    assert written[0] == written[1]
    files, latest = written[0]
    assert files.keys() == latest.keys() | {".slicewise.lock"}
