"""All folds leave what their held-out cases choose, and predictions follow it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from slicewise.imaging.nifti.reading import read_nifti

Slicewise = Callable[..., Any]


@pytest.fixture(scope="module")
def mirrored(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny configuration, whose training mirrors."""
    path = tmp_path_factory.mktemp("config") / "mirrored.yaml"
    path.write_text(tiny.read_text() + "augmentation: {mirror_axes: [left_right]}\n")
    return path


@pytest.fixture(scope="module")
def trained(
    slicewise: Slicewise,
    scans: Path,
    mirrored: Path,
    work: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, str]:
    """The folder of all folds, and what their training printed."""
    out = tmp_path_factory.mktemp("all") / "folds"
    arguments = ("--set", f"data.root={scans}", "--fold", "all", "--out", out, "--work", work)
    done = slicewise("train", mirrored, *arguments)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


@pytest.fixture
def folds(trained: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the folder, to be changed."""
    return Path(shutil.copytree(trained[0], tmp_path / "folds"))


def again(slicewise: Slicewise, config: Path, scans: Path, out: Path, work: Path) -> Any:
    arguments = ("--set", f"data.root={scans}", "--fold", "all", "--out", out, "--work", work)
    return slicewise("train", config, *arguments, "--resume")


def predicted(slicewise: Slicewise, scans: Path, work: Path, out: Path, *model: object) -> Any:
    scan = scans / "images" / "case1.nii.gz"
    done = slicewise("predict", model[0], scan, *model[1:], "--out", out, "--work", work)
    assert done.returncode == 0, done.stderr
    return done


def edit(folds: Path, text: str) -> None:
    """Change the tuned inference as a person would, and say so at its end."""
    (folds / "inference.yaml").write_text(f"{text}# edited by hand\n")


def test_each_fold_leaves_evidence_of_its_cases(trained: tuple[Path, str], scans: Path) -> None:
    out, _ = trained
    lines = [
        json.loads(line)
        for number in range(2)
        for line in (out / f"fold-{number}" / "evidence.jsonl").read_text().splitlines()
    ]
    assert sorted(line["case"] for line in lines) == [f"case{number}" for number in range(6)]
    assert all(list(line["mirrored"]) == ["left-right"] for line in lines)
    assert str(scans) not in json.dumps(lines)
    # A patient that is known by number is told by a pseudonym.
    assert not {line["patient"] for line in lines} & {str(number) for number in range(6)}
    scores = {
        row["case"]: float(row["dice"])
        for row in csv.DictReader((out / "scores.csv").read_text().splitlines())
    }
    for line in lines:
        dice = line["structures"]["core"]["plain"]["dice"]
        assert dice == pytest.approx(scores[line["case"]], abs=1e-5)


def test_what_was_tuned_is_shown_written_and_tracked(trained: tuple[Path, str], work: Path) -> None:
    from slicewise.tracking.store import open_store

    out, printed = trained
    assert "Inference tuning by cross-validation" in printed
    section = yaml.safe_load((out / "inference.yaml").read_text())["inference"]
    assert section["batch_size"] == 8
    # Six patients in two folds prove nothing.
    assert (section["mirror_axes"], section["postprocessing"]) == ([], {})
    rows = list(csv.DictReader((out / "inference_tuning.csv").read_text().splitlines()))
    assert {row["kind"] for row in rows} >= {"temperature"}
    parent = json.loads((out / "run.json").read_text())["run_id"]
    artifacts = {item.path for item in open_store(work).client.list_artifacts(parent)}
    assert {"inference.yaml", "inference_tuning.csv"} <= artifacts


def test_one_fold_leaves_evidence_and_chooses_nothing(model: Path) -> None:
    assert len((model / "evidence.jsonl").read_text().splitlines()) == 3
    assert not (model / "inference.yaml").exists()
    assert not (model.parent / "inference.yaml").exists()


def test_the_ensemble_follows_what_was_chosen(
    slicewise: Slicewise, folds: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    plain, cleaned = tmp_path / "plain.nii.gz", tmp_path / "cleaned.nii.gz"
    edit(folds, "inference: {}\n")
    predicted(slicewise, scans, work, plain, folds)
    edit(folds, "inference:\n  postprocessing: {core: {minimum_volume_ml: 1000}}\n")
    predicted(slicewise, scans, work, cleaned, folds)
    assert read_nifti(plain).voxels.any()
    assert not read_nifti(cleaned).voxels.any()
    # One fold of them makes masks as it was scored.
    single = tmp_path / "single" / "mask.nii.gz"
    predicted(slicewise, scans, work, single, folds / "fold-0")
    assert read_nifti(single).voxels.any()


def test_temperature_changes_probabilities_and_no_mask(
    slicewise: Slicewise, folds: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    found = []
    for temperature in (1, 2):
        edit(folds, f"inference:\n  temperature: {temperature}\n")
        out = tmp_path / f"{temperature}.nii.gz"
        predicted(slicewise, scans, work, out, folds, "--probabilities")
        maps = read_nifti(tmp_path / f"{temperature}_probabilities.nii.gz", volume=1)
        found.append((read_nifti(out).voxels, maps.voxels))
    (mask, first), (same_mask, second) = found
    assert np.array_equal(mask, same_mask)
    # The structure alone: its logit is halved.
    expected = np.sqrt(first) / (np.sqrt(first) + np.sqrt(1 - first))
    np.testing.assert_allclose(second, expected, atol=1e-4)


def test_an_unknown_structure_in_the_choices(
    slicewise: Slicewise, folds: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    edit(folds, "inference: {postprocessing: {ghost: {}}}\n")
    scan = scans / "images" / "case1.nii.gz"
    done = slicewise("predict", folds, scan, "--out", tmp_path / "m.nii.gz", "--work", work)
    assert done.returncode == 2
    assert "ghost" in done.stderr
    assert "inference.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_training_that_is_refused_leaves_the_choices(
    slicewise: Slicewise, folds: Path, scans: Path, mirrored: Path, work: Path
) -> None:
    names = ("inference.yaml", "inference_tuning.csv", "run.json")
    before = {name: (folds / name).read_text() for name in names}
    # Found out before the first fold is trained, whichever it is.
    shutil.rmtree(folds / "fold-0")
    arguments = ("--set", f"data.root={scans}", "--fold", "all", "--out", folds, "--work", work)
    done = slicewise("train", mirrored, *arguments)
    assert done.returncode == 1
    assert f"{folds}\n" in done.stderr
    assert "--overwrite" in done.stderr
    assert {name: (folds / name).read_text() for name in names} == before
    assert not (folds / "fold-0").exists()


@pytest.mark.slow
def test_folds_of_an_earlier_training_do_not_join_new_ones(
    slicewise: Slicewise, folds: Path, scans: Path, mirrored: Path, work: Path
) -> None:
    # As three folds left it.
    shutil.copytree(folds / "fold-1", folds / "fold-2")
    arguments = ("--set", f"data.root={scans}", "--fold", "all", "--out", folds, "--work", work)
    done = slicewise("train", mirrored, *arguments, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folds.glob("fold-*")) == ["fold-0", "fold-1"]


@pytest.mark.slow
def test_finished_folds_are_chosen_from_again(
    slicewise: Slicewise, folds: Path, scans: Path, mirrored: Path, work: Path
) -> None:
    before = {
        name: (folds / name).read_text() for name in ("inference.yaml", "inference_tuning.csv")
    }
    for name in before:
        (folds / name).unlink()
    # As a version left it that gathered no evidence.
    lost = folds / "fold-1" / "evidence.jsonl"
    gathered = lost.read_text()
    lost.unlink()
    done = again(slicewise, mirrored, scans, folds, work)
    assert done.returncode == 0, done.stderr
    assert "predicting its held-out cases again" in done.stderr
    assert lost.read_text() == gathered
    assert {name: (folds / name).read_text() for name in before} == before


def test_damaged_evidence_is_named(
    slicewise: Slicewise, folds: Path, scans: Path, mirrored: Path, work: Path
) -> None:
    path = folds / "fold-0" / "evidence.jsonl"
    path.write_text(path.read_text()[:300])
    done = again(slicewise, mirrored, scans, folds, work)
    assert done.returncode == 1
    assert f"{path}:1\n" in done.stderr
    assert "Traceback" not in done.stderr
    # Stale choices are worse than none.
    assert not (folds / "inference.yaml").exists()


def patients(folder: Path) -> dict[str, str]:
    """Case to patient, as the scores say it."""
    with (folder / "scores.csv").open() as file:
        return {row["case"]: row["patient"] for row in csv.DictReader(file)}


def test_folds_of_other_machines_name_patients_alike(
    slicewise: Slicewise, folds: Path, scans: Path, mirrored: Path, tmp_path: Path
) -> None:
    work, before = tmp_path / "work", patients(folds)
    shutil.rmtree(folds / "fold-1")
    (folds / "run.json").unlink()  # of the run over all folds, which begins here
    alone = ("--set", f"data.root={scans}", "--work", work, "--out", folds / "fold-1")
    assert slicewise("train", mirrored, "--fold", "1", *alone).returncode == 0
    done = again(slicewise, mirrored, scans, folds, work)
    assert done.returncode == 0, done.stderr
    assert "has pseudonyms of patients by the key of another work folder" in done.stderr
    now = patients(folds)
    assert now == patients(folds / "fold-0") | patients(folds / "fold-1")
    assert all(now[case] != before[case] for case in now)


@pytest.mark.slow
def test_a_fold_that_is_trained_anew_takes_the_choices_with_it(
    slicewise: Slicewise, folds: Path, scans: Path, mirrored: Path, work: Path
) -> None:
    arguments = ("--set", f"data.root={scans}", "--out", folds / "fold-1", "--work", work)
    done = slicewise("train", mirrored, "--fold", "1", *arguments, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert not (folds / "inference.yaml").exists()
    assert not (folds / "inference_tuning.csv").exists()


@pytest.mark.slow
def test_what_the_configuration_decides_is_not_chosen(
    slicewise: Slicewise, scans: Path, tiny: Path, work: Path, tmp_path: Path
) -> None:
    out = tmp_path / "decided"
    arguments = ("--set", f"data.root={scans}", "--fold", "all", "--out", out, "--work", work)
    done = slicewise("train", tiny, *arguments, "--set", "inference.temperature=1.5")
    assert done.returncode == 0, done.stderr
    assert "the configuration sets the section inference" in done.stderr
    assert not (out / "inference.yaml").exists()
    assert not list(out.rglob("evidence.jsonl"))


def test_models_join_as_an_ensemble(
    slicewise: Slicewise, folds: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    edit(folds, "inference: {}\n")
    together, joined = tmp_path / "together.nii.gz", tmp_path / "joined.nii.gz"
    predicted(slicewise, scans, work, together, folds, "--probabilities")
    run_id = json.loads((folds / "fold-1" / "run.json").read_text())["run_id"]
    also = ("--also", run_id, "--probabilities")
    predicted(slicewise, scans, work, joined, folds / "fold-0" / "last.pt", *also)
    first, second = (
        read_nifti(tmp_path / f"{name}_probabilities.nii.gz", volume=1).voxels
        for name in ("together", "joined")
    )
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_the_first_model_decides_for_all(
    slicewise: Slicewise, folds: Path, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mask.nii.gz"
    done = predicted(slicewise, scans, work, out, model, "--also", folds)
    assert "is not used: " in done.stderr


def test_mirroring_a_network_that_has_not_learned_it_is_told(
    slicewise: Slicewise, folds: Path, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    edit(folds, "inference: {mirror_axes: [left_right]}\n")
    out = tmp_path / "mask.nii.gz"
    assert "mirrored" not in predicted(slicewise, scans, work, out, folds).stderr
    out = tmp_path / "together" / "mask.nii.gz"
    done = predicted(slicewise, scans, work, out, folds, "--also", model)
    assert "1 of 3 networks" in done.stderr


def test_a_network_joins_once(
    slicewise: Slicewise, folds: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    scan = scans / "images" / "case1.nii.gz"
    also = ("--also", folds / "fold-0" / "last.pt")
    done = slicewise("predict", folds, scan, *also, "--out", tmp_path / "m.nii.gz", "--work", work)
    assert done.returncode == 2
    assert "count twice" in done.stderr


@pytest.mark.slow
def test_a_model_of_other_structures_cannot_join(
    slicewise: Slicewise, model: Path, scans: Path, tiny: Path, work: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(tiny.read_text().replace("{core: 3}", "{heart: 3}"))
    arguments = ("--set", f"data.root={scans}", "--out", tmp_path / "heart", "--work", work)
    assert slicewise("train", other, *arguments).returncode == 0
    scan = scans / "images" / "case1.nii.gz"
    also = ("--also", tmp_path / "heart", "--out", tmp_path / "m.nii.gz", "--work", work)
    done = slicewise("predict", model, scan, *also)
    assert done.returncode == 1
    assert "data.labels" in done.stderr
    missing = slicewise("predict", model, scan, "--also", "no/such", *also[2:])
    assert missing.returncode == 1
    assert "no/such" in missing.stderr
