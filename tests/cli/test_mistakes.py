"""A user's mistakes: one message with the place and the remedy, no traceback, the right code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.nifti.writing import write_mask, write_volume
from slicewise.imaging.volume import Volume

Slicewise = Callable[..., Any]


def expect(done: Any, code: int, *texts: str) -> None:
    """The exit code, every text in the message, and no traceback."""
    assert done.returncode == code, done.stderr
    for text in (*texts, "expected:", "found:", "remedy:"):
        assert text in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def own_scans(scans: Path, tmp_path: Path) -> Path:
    """The data set, to be spoilt."""
    copy = tmp_path / "own"
    shutil.copytree(scans, copy)
    return copy


def test_missing_folder(slicewise: Slicewise, tiny: Path, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    done = slicewise("train", tiny, "--set", f"data.root={missing}", "--work", tmp_path / "w")
    expect(done, 1, str(missing), "no such file or folder")


def test_no_folder_at_all(slicewise: Slicewise, tiny: Path, tmp_path: Path) -> None:
    expect(slicewise("preprocess", tiny, "--work", tmp_path / "w"), 2, "data.root", "DATA=")


def test_empty_folder(slicewise: Slicewise, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    expect(slicewise("check", empty), 1, str(empty), "an empty folder")


def test_unpaired_files_are_all_named(
    slicewise: Slicewise, own_scans: Path, tmp_path: Path
) -> None:
    (own_scans / "labels" / "case1.nii.gz").unlink()
    (own_scans / "images" / "case4.nii.gz").unlink()
    expect(slicewise("check", own_scans), 1, "case1: image without label", "case4: label without")
    findings = tmp_path / "findings.json"
    asked = slicewise("check", own_scans, "--allow-unpaired", "--json", findings)
    assert asked.returncode == 8
    content = json.loads(findings.read_text())
    assert {item["name"] for item in content["set_aside"]} == {"case1", "case4"}
    assert len(content["cases"]) == 4


def test_label_value_without_a_name(
    slicewise: Slicewise, own_scans: Path, tiny: Path, tmp_path: Path
) -> None:
    path = own_scans / "labels" / "case2.nii.gz"
    label = read_nifti(path)
    voxels = label.voxels.copy()
    voxels[0, 0, 0] = 7
    write_mask(label.with_voxels(voxels), label, path)
    done = slicewise(
        "preprocess", tiny, "--set", f"data.root={own_scans}", "--work", tmp_path / "w"
    )
    expect(done, 1, "case2", "7 as well", "data.labels")
    # What was finished is kept.
    assert len(list((tmp_path / "w" / "cache").glob("??/*/image.npy"))) == 5


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("grid", "corners"), ("truncated", "truncated"), ("nan", "NaN"), ("shape", "shape")],
)
def test_a_bad_scan_is_set_aside(
    slicewise: Slicewise, own_scans: Path, tiny: Path, tmp_path: Path, fault: str, reason: str
) -> None:
    _spoil(own_scans / "images" / "case3.nii.gz", fault)
    done = slicewise(
        "preprocess", tiny, "--set", f"data.root={own_scans}", "--work", tmp_path / "w"
    )
    assert done.returncode == 8, done.stderr
    assert "case3" in done.stderr
    assert reason in done.stderr
    assert "5 cases" in done.stderr
    quarantine = tmp_path / "w" / "cache" / "tiny" / "quarantine.jsonl"
    assert [json.loads(line)["name"] for line in quarantine.read_text().splitlines()] == ["case3"]
    assert quarantine.stat().st_mode & 0o777 == 0o600


def _spoil(path: Path, fault: str) -> None:
    scan = read_nifti(path)
    if fault == "truncated":
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif fault == "nan":
        voxels = scan.voxels.copy()
        voxels[3, 3, 3] = np.nan
        write_volume(scan.with_voxels(voxels), path)
    elif fault == "grid":
        affine = scan.affine.copy()
        affine[0, 3] += 2
        write_volume(Volume(scan.voxels, affine), path)
    else:
        write_volume(Volume(scan.voxels[:-1], scan.affine), path)


def test_three_mistakes_at_once(slicewise: Slicewise, tmp_path: Path) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text(
        "name: bad\ndata: {labels: {a: 1}}\ntraining:\n  loss: dise\n  epochs: 0\n  batchsize: 4\n"
    )
    done = slicewise("train", config)
    expect(done, 2, f"{config}:4", f"{config}:5", f"{config}:6", "did you mean 'batch_size'")


def test_unknown_key_on_the_command_line(slicewise: Slicewise, tiny: Path) -> None:
    done = slicewise("train", tiny, "--set", "training.epoch=3")
    expect(done, 2, "--set training.epoch=3", "did you mean 'epochs'")


def test_patient_in_two_folds(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    split = tmp_path / "split.json"
    overrides = ("--set", f"data.root={scans}", "--set", f"data.folds={split}")
    pairs = ("--set", "data.scans_per_patient=2")
    # Scans 1 and 2 are one person then, and so are 3 and 4.
    split.write_text(json.dumps([{"train": ["case1"], "val": ["case2"]}]))
    done = slicewise("train", tiny, *overrides, *pairs, "--work", tmp_path / "w")
    expect(done, 1, str(split), "in both: 1")


def test_fold_that_does_not_exist(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    arguments = ("--set", f"data.root={scans}", "--work", tmp_path / "w")
    expect(slicewise("train", tiny, *arguments, "--fold", "7"), 2, "0 to 1")


def test_checkpoint_that_does_not_fit(
    slicewise: Slicewise, model: Path, scans: Path, tmp_path: Path
) -> None:
    from slicewise.segmentation.checkpoint import load_checkpoint, save_checkpoint

    checkpoint = load_checkpoint(model / "last.pt")
    checkpoint.model.pop("final_conv.bias")
    checkpoint.model["downs.0.conv.0.weight"] = torch.zeros(9, 3, 3, 3)
    save_checkpoint(checkpoint, tmp_path / "other.pt")
    scan = scans / "images" / "case0.nii.gz"
    done = slicewise("predict", tmp_path / "other.pt", scan, "--out", tmp_path / "m.nii.gz")
    expect(done, 1, "final_conv.bias", "downs.0.conv.0.weight")
    assert not (tmp_path / "m.nii.gz").exists()


def test_damaged_checkpoint(slicewise: Slicewise, model: Path, scans: Path, tmp_path: Path) -> None:
    damaged = bytearray((model / "last.pt").read_bytes())
    damaged[len(damaged) // 2] ^= 4
    path = tmp_path / "last.pt"
    path.write_bytes(damaged)
    scan = scans / "images" / "case0.nii.gz"
    done = slicewise("predict", path, scan, "--out", tmp_path / "m.nii.gz")
    expect(done, 1, str(path), "sha256")


@pytest.mark.parametrize(
    "name", ["models:/nothing@champion", "models:/tiny@nobody", "0" * 32, "no/such/path"]
)
def test_model_that_does_not_exist(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path, name: str
) -> None:
    assert model.exists()
    scan = scans / "images" / "case0.nii.gz"
    done = slicewise("predict", name, scan, "--out", tmp_path / "m.nii.gz", "--work", work)
    expect(done, 1, name.split("@")[0])


def test_output_that_cannot_be_written(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    # A file where a folder is needed stops the superuser, too.
    (tmp_path / "file").write_text("in the way")
    scan = scans / "images" / "case0.nii.gz"
    out = tmp_path / "file" / "mask.nii.gz"
    expect(slicewise("predict", model, scan, "--out", out, "--work", work), 1, str(out))


def test_one_file_for_many_masks(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mask.nii.gz"
    done = slicewise("predict", model, scans / "images", "--out", out, "--work", work)
    expect(done, 2, "a folder for 6 masks")


def test_missing_scan(slicewise: Slicewise, model: Path, work: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none.nii.gz"
    done = slicewise("predict", model, missing, "--out", tmp_path / "m", "--work", work)
    expect(done, 1, str(missing))


@pytest.mark.fault(64, "E")
def test_changed_scan_stops_a_resumed_training(
    slicewise: Slicewise, own_scans: Path, tiny: Path, tmp_path: Path
) -> None:
    arguments = ("--set", f"data.root={own_scans}", "--out", tmp_path / "m", "--work", tmp_path)
    assert slicewise("train", tiny, *arguments).returncode == 0
    path = own_scans / "images" / "case5.nii.gz"
    scan = read_nifti(path)
    write_volume(scan.with_voxels(scan.voxels + 1), path)
    expect(slicewise("train", tiny, *arguments, "--resume"), 1, "case5")
    other = slicewise("train", tiny, *arguments, "--resume", "--set", "training.loss=dice")
    expect(other, 1, "training.loss")


def test_references_that_do_not_match(slicewise: Slicewise, model: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    done = slicewise("evaluate", model / "masks", tmp_path / "labels", "--out", tmp_path / "s.csv")
    expect(done, 1, "names as in")


def test_unknown_command_and_option(slicewise: Slicewise) -> None:
    for arguments in (("trane",), ("train", "--folds", "1"), ()):
        done = slicewise(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_work_folder_that_cannot_be_made(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    work = tmp_path / "file" / "work"
    done = slicewise("preprocess", tiny, "--set", f"data.root={scans}", "--work", work)
    expect(done, 1, str(work))


def test_what_the_system_refuses_has_no_traceback(
    slicewise: Slicewise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr("slicewise.workflows.check.read_catalogue", refuse)
    expect(slicewise("check", tmp_path), 1, str(tmp_path), "Permission denied")


def test_masks_never_replace_scans(
    slicewise: Slicewise, model: Path, own_scans: Path, work: Path
) -> None:
    images = own_scans / "images"
    before = {path.name: path.read_bytes() for path in images.iterdir()}
    for source, out in ((images, images), (images / "case0.nii.gz", images / "case0.nii.gz")):
        done = slicewise("predict", model, source, "--out", out, "--work", work)
        expect(done, 2, "which is an input")
    assert {path.name: path.read_bytes() for path in images.iterdir()} == before


def test_training_that_did_not_finish_is_no_model(
    slicewise: Slicewise, model: Path, scans: Path, tmp_path: Path
) -> None:
    shutil.copytree(model, tmp_path / "killed")
    (tmp_path / "killed" / "model.json").unlink()
    scan = scans / "images" / "case0.nii.gz"
    out = tmp_path / "m.nii.gz"
    expect(slicewise("predict", tmp_path / "killed", scan, "--out", out), 1, "--resume", "last.pt")
    assert slicewise("predict", tmp_path / "killed/last.pt", scan, "--out", out).returncode == 0


def test_one_fold_and_all_folds_do_not_share_a_folder(
    slicewise: Slicewise, model: Path, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    arguments = ("--set", f"data.root={scans}", "--out", copy, "--work", tmp_path)
    expect(slicewise("train", tiny, *arguments, "--fold", "all"), 1, "last.pt of a training")


def test_fold_beyond_the_last_is_refused_before_the_work(
    slicewise: Slicewise, tiny: Path, tmp_path: Path
) -> None:
    done = slicewise("train", tiny, "--fold", "9", "--work", tmp_path / "w")
    expect(done, 2, "0 to 1")
    assert not (tmp_path / "w").exists()


def test_folder_named_like_a_date(slicewise: Slicewise, scans: Path, tmp_path: Path) -> None:
    folder = tmp_path / "2024-01-15 #2"
    shutil.copytree(scans, folder)
    done = slicewise("check", folder)
    assert done.returncode == 0, done.stderr


def test_file_listed_with_an_absolute_path(slicewise: Slicewise, tmp_path: Path) -> None:
    (tmp_path / "dataset.csv").write_text("image\n/nowhere/scan.nii.gz\n")
    expect(slicewise("check", tmp_path / "dataset.csv"), 1, "line 2: /nowhere/scan.nii.gz")


def test_folder_without_a_usable_scan(
    slicewise: Slicewise, model: Path, work: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.dcm").write_bytes(b"nothing")
    out = tmp_path / "m.nii.gz"
    done = slicewise("predict", model, tmp_path / "in", "--out", out, "--work", work)
    expect(done, 1, "usable scan")
