"""From scans to a tracked model and to masks, through the command alone."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slicewise.dataset.demo.dicom import write_dicom_series
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.nifti.writing import write_mask, write_volume
from slicewise.imaging.volume import Volume
from slicewise.tracking import open_store

Slicewise = Callable[..., Any]


def test_training_leaves_a_model_with_scores_masks_and_picture(model: Path) -> None:
    assert {"config.yaml", "last.pt", "best.pt", "scores.csv", "examples.png"} <= {
        path.name for path in model.iterdir()
    }
    rows = list(csv.DictReader((model / "scores.csv").read_text().splitlines()))
    assert {row["structure"] for row in rows} == {"core"}
    assert {f"{row['case']}.nii.gz" for row in rows} == {
        path.name for path in (model / "masks").glob("[!.]*")
    }
    assert len(rows) == 3


def test_configuration_of_the_run_holds_steps_and_no_place(model: Path, scans: Path) -> None:
    text = (model / "config.yaml").read_text()
    assert "steps: 4" in text
    assert str(scans) not in text


def test_folder_in_folder_out_with_names_and_grids(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    done = slicewise("predict", model, scans / "images", "--out", tmp_path, "--work", work)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == sorted(
        ["confidence.csv", "labels.ctbl", *(path.name for path in (scans / "images").iterdir())]
    )
    assert "3 core 230 159 0 255" in (tmp_path / "labels.ctbl").read_text()
    for path in tmp_path.glob("*.nii.gz"):
        mask, scan = read_nifti(path), read_nifti(scans / "images" / path.name)
        assert mask.grid_difference_voxels(scan) < 1e-3
        assert set(np.unique(mask.voxels)) <= {0, 3}


def test_every_name_of_the_model_predicts_the_same(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    run_id = json.loads((model / "run.json").read_text())["run_id"]
    names = [model, model / "last.pt", run_id, "models:/tiny@champion", "models:/tiny/1"]
    scan = scans / "images" / "case1.nii.gz"
    masks = []
    for number, name in enumerate(names):
        out = tmp_path / f"{number}.nii.gz"
        done = slicewise("predict", name, scan, "--out", out, "--work", work)
        assert done.returncode == 0, done.stderr
        masks.append(read_nifti(out).voxels)
    assert all(np.array_equal(mask, masks[0]) for mask in masks)


def test_probabilities_lie_beside_the_mask(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mask.nii.gz"
    scan = scans / "images" / "case0.nii.gz"
    done = slicewise("predict", model, scan, "--out", out, "--work", work, "--probabilities")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mask_probabilities.nii.gz").exists()


def test_dicom_folder_gives_a_mask_a_volume(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    scan = read_nifti(scans / "images" / "case2.nii.gz")
    # Turned with its axes: mirrored scans are unlike those of the training.
    voxels = scan.voxels[:, ::-1].clip(0).astype(np.uint16)
    # Orthogonal axes, as DICOM demands, and the order in which DICOM stores slices.
    affine = np.diag([-1.5, -1.2, 4.0, 1.0])
    for number in range(2):
        moved = affine.copy()
        moved[:3, 3] = (10 * number, 5, -8)
        folder = tmp_path / "in" / f"Secret^Name{number}"
        write_dicom_series(Volume(voxels, moved), folder, f"SYNTHETIC-{number}")
    done = slicewise("predict", model, tmp_path / "in", "--out", tmp_path / "out", "--work", work)
    assert done.returncode == 0, done.stderr
    masks = [read_nifti(path) for path in sorted((tmp_path / "out").glob("*.nii.gz"))]
    assert len(masks) == 2
    assert sorted(mask.affine[0, 3] for mask in masks) == pytest.approx([0, 10])
    assert "Secret" not in " ".join(path.name for path in (tmp_path / "out").iterdir())
    assert "Secret" not in done.stdout + done.stderr


def test_a_bad_scan_is_set_aside_and_the_rest_is_done(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(scans / "images", folder)
    whole = (folder / "case0.nii.gz").read_bytes()
    (folder / "case0.nii.gz").write_bytes(whole[: len(whole) // 2])
    done = slicewise("predict", model, folder, "--out", tmp_path / "out", "--work", work)
    assert done.returncode == 8
    assert "case0" in done.stderr
    assert "truncated" in done.stderr
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 5


def test_of_a_labelled_data_set_only_the_images_are_predicted(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    source = tmp_path / "set"
    shutil.copytree(scans, source)
    out = source / "masks_of_model"
    for _ in range(2):
        done = slicewise("predict", model, source, "--out", out, "--work", work)
        assert done.returncode == 0, done.stderr
        assert len(list(out.rglob("*.nii.gz"))) == 6


def test_earlier_masks_are_no_scans(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    source = tmp_path / "flat"
    shutil.copytree(scans / "images", source)
    for _ in range(2):
        done = slicewise("predict", model, source, "--out", source / "masks", "--work", work)
        assert done.returncode == 0, done.stderr
        assert len(list((source / "masks").rglob("*.nii.gz"))) == 6


def test_manifest_may_list_scans_of_one_patient_for_prediction(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    lines = [f"{scans}/images/case{number}.nii.gz,same" for number in range(2)]
    (tmp_path / "new.csv").write_text("\n".join(["image,patient", *lines]))
    out = tmp_path / "out"
    done = slicewise("predict", model, tmp_path / "new.csv", "--out", out, "--work", work)
    assert done.returncode == 0, done.stderr
    assert len(list(out.glob("*.nii.gz"))) == 2


def test_evaluate_names_values_where_no_config_does(
    slicewise: Slicewise, model: Path, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    done = slicewise("evaluate", model / "masks", scans / "labels", "--out", out)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert {row["structure"] for row in rows} == {"label_3"}


def test_evaluate_shows_intervals_and_writes_them_as_json(
    slicewise: Slicewise, model: Path, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    config = tmp_path / "pieces.yaml"
    text = tiny.read_text().replace("{core: 3}", "{core: 3, ghost: 9}").replace(r"(\d+)", "(case)")
    config.write_text(text + "structures: {core: {several_components: true}}")
    out, summary = tmp_path / "scores.csv", tmp_path / "deep" / "summary.json"
    arguments = ("--out", out, "--json", summary, "--config", config, "--workers", "1")
    done = slicewise("evaluate", model / "masks", scans / "labels", *arguments)
    assert done.returncode == 0, done.stderr
    assert "HD95 mm" in done.stdout
    assert "3 cases of 1 patient," in done.stdout
    content = json.loads(summary.read_text())
    core, ghost = content["structures"]
    rows = pd.read_csv(out).query("structure == 'core'")
    assert core["metrics"]["dice"]["mean"] == pytest.approx(rows["dice"].mean(), abs=1e-5)
    # One patient has no interval, and what nobody has no mean; JSON knows no NaN.
    assert core["metrics"]["dice"]["low"] is None
    assert (ghost["undefined"], ghost["metrics"]["dice"]["mean"]) == (3, None)
    assert (content["cases"], content["patients"], len(content["without_mask"])) == (3, 1, 3)
    assert (rows["reference_components"] == 1).all()


def test_evaluate_says_when_names_do_not_tell_the_patient(
    slicewise: Slicewise, model: Path, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    config = tmp_path / "other.yaml"
    config.write_text(tiny.read_text().replace(r"(\d+)", "subject(.*)"))
    arguments = ("--out", tmp_path / "scores.csv", "--config", config)
    done = slicewise("evaluate", model / "masks", scans / "labels", *arguments)
    assert done.returncode == 0, done.stderr
    assert (
        "each case counts as one patient: expected a name that matches 'subject(.*)'" in done.stderr
    )


def test_evaluate_of_masks_without_any_label(slicewise: Slicewise, tmp_path: Path) -> None:
    empty = Volume(np.zeros((3, 4, 5), dtype=np.uint8), np.eye(4))
    write_mask(empty, empty, tmp_path / "a.nii.gz")
    pair = (tmp_path / "a.nii.gz", tmp_path / "a.nii.gz")
    done = slicewise("evaluate", *pair, "--out", tmp_path / "scores.csv")
    assert done.returncode == 0, done.stderr
    assert "nothing to score" in done.stderr


@pytest.mark.parametrize("slices", [5, 600])
def test_evaluate_of_few_and_of_many_slices(
    slicewise: Slicewise, tmp_path: Path, slices: int
) -> None:
    reference = np.zeros((20, 24, slices), dtype=np.uint8)
    reference[5:12, 6:16, 2 : slices - 1] = 1
    affine = np.diag([1, 1, 0.5, 1.0])
    for name, voxels in {"ours": np.roll(reference, 2, axis=0), "theirs": reference}.items():
        volume = Volume(voxels, affine)
        write_mask(volume, volume, tmp_path / f"{name}.nii.gz")
    pair = (tmp_path / "ours.nii.gz", tmp_path / "theirs.nii.gz")
    done = slicewise("evaluate", *pair, "--out", tmp_path / "scores.csv")
    assert done.returncode == 0, done.stderr
    (score,) = csv.DictReader((tmp_path / "scores.csv").read_text().splitlines())
    assert float(score["dice"]) == pytest.approx(5 / 7, abs=1e-5)
    assert float(score["hd95_mm"]) == 2


@pytest.mark.parametrize("odd", [math.nan, 0.5])
def test_evaluate_names_a_single_mask_that_is_none(
    slicewise: Slicewise, tmp_path: Path, odd: float
) -> None:
    voxels = np.zeros((4, 5, 6), dtype=np.float32)
    voxels[1, 2, 3] = 1
    volume = Volume(voxels, np.eye(4))
    write_volume(volume, tmp_path / "reference.nii.gz")
    voxels[1, 2, 4] = odd
    write_volume(volume.with_voxels(voxels), tmp_path / "odd.nii.gz")
    pair = (tmp_path / "odd.nii.gz", tmp_path / "reference.nii.gz")
    done = slicewise("evaluate", *pair, "--out", tmp_path / "scores.csv")
    assert done.returncode == 1
    assert "odd.nii.gz" in done.stderr
    assert "Traceback" not in done.stderr


def test_evaluate_sets_a_damaged_mask_aside(
    slicewise: Slicewise, model: Path, scans: Path, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    shutil.copytree(model / "masks", masks)
    first = min(masks.glob("*.nii.gz"))
    first.write_bytes(first.read_bytes()[:100])
    out = tmp_path / "scores.csv"
    done = slicewise("evaluate", masks, scans / "labels", "--out", out)
    assert done.returncode == 8
    assert first.name.removesuffix(".nii.gz") in done.stderr
    assert len(out.read_text().splitlines()) == 3


def test_a_scan_set_aside_does_not_move_the_others_between_folds(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    held_out = []
    for name in ("whole", "spoilt"):
        source = tmp_path / name
        shutil.copytree(scans, source)
        if name == "spoilt":
            (source / "images" / "case0.nii.gz").write_bytes(b"")
        out, work = tmp_path / f"model of {name}", tmp_path / f"work of {name}"
        arguments = ("--set", f"data.root={source}", "--out", out, "--work", work)
        done = slicewise("train", tiny, *arguments)
        assert done.returncode == (8 if name == "spoilt" else 0), done.stderr
        held_out.append({path.name for path in (out / "masks").glob("[!.]*")})
    assert held_out[0] - {"case0.nii.gz"} == held_out[1] - {"case0.nii.gz"}


def test_evaluate_writes_the_rows_that_training_wrote(
    slicewise: Slicewise, model: Path, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    done = slicewise("evaluate", model / "masks", scans / "labels", "--out", out, "--config", tiny)
    assert done.returncode == 0, done.stderr
    # What only training knows: pseudonyms, and how probable it held each voxel.
    of_training = ["patient", "calibration_error", "confidence"]
    ours, theirs = (
        pd.read_csv(path).drop(columns=of_training) for path in (out, model / "scores.csv")
    )
    pd.testing.assert_frame_equal(ours, theirs)
    # Half of the cases were held out; the others have no mask, which is said.
    assert "not scored, no mask: case" in done.stderr


def test_resuming_a_finished_training_changes_nothing(
    slicewise: Slicewise, model: Path, scans: Path, tiny: Path, work: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "again"
    shutil.copytree(model, copy)
    arguments = ("--set", f"data.root={scans}", "--out", copy, "--work", work)
    refused = slicewise("train", tiny, *arguments)
    assert refused.returncode == 1
    assert "--resume" in refused.stderr
    done = slicewise("train", tiny, *arguments, "--resume")
    assert done.returncode == 0, done.stderr
    assert (copy / "scores.csv").read_text() == (model / "scores.csv").read_text()


def test_all_folds_score_every_case_once(
    slicewise: Slicewise, scans: Path, tiny: Path, work: Path, tmp_path: Path
) -> None:
    out = tmp_path / "folds"
    arguments = ("--fold", "all", "--out", out, "--work", work)
    done = slicewise("train", tiny, "--set", f"data.root={scans}", *arguments)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((out / "scores.csv").read_text().splitlines()))
    assert sorted(row["case"] for row in rows) == [f"case{number}" for number in range(6)]
    scan = scans / "images" / "case0.nii.gz"
    mask = tmp_path / "mask.nii.gz"
    assert slicewise("predict", out, scan, "--out", mask, "--work", work).returncode == 0


def test_registered_version_tells_score_and_fold(model: Path, work: Path) -> None:
    from slicewise.tracking.store import open_store

    version = open_store(work).client.get_model_version("tiny", "1")
    assert re.fullmatch(r"[01]\.\d{4}", version.tags["dice"])
    assert version.tags["folds"] == "by patient"
    assert model.exists()


def test_describe_draws_and_counts(slicewise: Slicewise, tiny: Path, tmp_path: Path) -> None:
    figure = tmp_path / "unet.svg"
    done = slicewise("describe", tiny, "--out", figure, "--work", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "final_conv" in done.stdout
    assert figure.read_text().startswith("<?xml")
    assert slicewise("describe", tiny, "--work", tmp_path).returncode == 0
    assert (tmp_path / "figures" / "tiny.svg").read_text() == figure.read_text()


def test_the_run_keeps_the_configuration_as_written_and_the_folds(
    slicewise: Slicewise, scans: Path, work: Path, tiny: Path, tmp_path: Path
) -> None:
    config = tmp_path / "own.yaml"
    text = tiny.read_text() + f"# chosen because of {scans}\n"
    config.write_text(text.replace("data: {", f"data: {{root: {scans}, "))
    done = slicewise("train", config, "--out", tmp_path / "model", "--work", work)
    assert done.returncode == 0, done.stderr
    run_id = json.loads((tmp_path / "model" / "run.json").read_text())["run_id"]
    client = open_store(work).client
    given = Path(client.download_artifacts(run_id, "given.yaml", str(tmp_path))).read_text()
    assert f"# chosen because of {scans.name}\n" in given
    assert str(scans) not in given
    split = Path(client.download_artifacts(run_id, "split.json", str(tmp_path)))
    # It is a division that data.folds takes.
    again = slicewise(
        *("train", config, "--set", f"data.folds={split}", "--out", tmp_path / "again"),
        *("--work", work),
    )
    assert again.returncode == 0, again.stderr
    scored = [(tmp_path / name / "scores.csv").read_text() for name in ("model", "again")]
    assert scored[0] == scored[1]
