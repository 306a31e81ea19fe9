"""Tokens planted where patients are named: none of them reaches anything meant to be shared."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import nibabel as nib
import numpy as np
import pytest
from distributed import LocalCluster
from tests.planted_tokens import OF_MANIFESTS, TOKENS, contents, leaks, write_nifti, write_study

Slicewise = Callable[..., Any]
CONFIG = """
name: private
data: {layout: dicom, labels: {lesion: 5}, fold_count: 2}
preprocessing: {plane: axial, foreground: all}
network: {features: [4, 8], window: [16, 16]}
training: {steps: 4, validations: 1, batch_size: 4}
"""


@pytest.mark.slow
@pytest.mark.fault(95, "OK")
def test_no_planted_token_is_shared(slicewise: Slicewise, tmp_path: Path) -> None:
    studies = tmp_path / "ZUTOKEN" / "ZPTOKEN studies"
    work, shared = tmp_path / "work", tmp_path / "shared"
    for number in range(4):
        write_study(studies, number)
    write_study(studies, 4, is_damaged=True)
    scan, config = tmp_path / "scan.nii.gz", tmp_path / "private.yaml"
    write_nifti(scan)
    # As `slicewise plan` writes it: the file names the folder, and nothing that is shared does.
    config.write_text(CONFIG.replace("{layout", f"{{root: {str(studies)!r}, layout"))
    # The tokens are where they should be found, if anywhere.
    planted = b"".join(content for _, content in [*contents(studies)]) + gzip.decompress(
        scan.read_bytes()
    )
    assert leaks(planted + str(studies).encode()) == [
        token for token in TOKENS if token not in OF_MANIFESTS
    ]

    model = shared / "model"
    place = ("--work", work)
    calls: list[tuple[object, ...]] = [
        ("train", config, "--out", model, *place),
        ("check", studies, "--html", shared / "page.html", "--json", shared / "check.json",
         "--config", config, *place),
        ("convert", studies, "--out", shared / "converted", "--json", shared / "c.json", *place),
        ("predict", model, studies, "--out", shared / "masks", *place),
        ("predict", model, studies, "--out", shared / "seg", "--format", "dicom-seg", *place),
        ("predict", model, studies, "--out", shared / "nrrd", "--format", "seg-nrrd", *place),
        ("predict", model, scan, "--out", shared / "scan.nii.gz", "--probabilities",
         "--uncertainty", *place),
        ("convert", scan, "--out", shared / "converted-nifti", *place),
        ("baseline", config, "--out", shared / "base", *place),
        ("report", model, "--baseline", shared / "base", "--out", shared / "report", *place),
        ("report", shared / "masks", "--data", studies, "--out", shared / "report-masks", *place),
        ("compare", shared / "base", model, "--out", shared / "compare", *place),
        ("evaluate", shared / "masks", shared / "masks", "--out", shared / "scores.csv"),
        ("view", studies / "ZPTOKEN^1", "--out", shared / "view.html", *place),
        ("view", scan, shared / "scan.nii.gz", "--out", shared / "view-nifti.html", *place),
    ]  # fmt: skip
    for call in calls:
        done = slicewise(*call)
        assert done.returncode in (0, 8), done.stderr
        assert leaks((done.stdout + done.stderr).encode()) == [], call
    found = {name: leaks(content) for name, content in contents(shared)}
    assert len(list((shared / "seg").glob("*.dcm"))) == 4
    assert len(list((shared / "masks").glob("*.nii.gz"))) == 4
    assert {"report/report.pdf", "report-masks/report.html", "view.html"} <= set(found)
    assert any(name.startswith("view.html/") for name in found)
    assert {name: tokens for name, tokens in found.items() if tokens} == {}
    tracked = {name: leaks(content) for name, content in contents(work / "mlflow")}
    assert tracked
    assert {name: tokens for name, tokens in tracked.items() if tokens} == {}


def write_manifest(root: Path) -> Path:
    """Four patients as NIfTI with sidecars, and the table that names them."""
    root.mkdir(parents=True)
    lines = ["image,label,patient"]
    for number in range(4):
        image = root / f"scan{number}.nii.gz"
        write_nifti(image, number)
        labels = np.zeros((20, 18, 6), dtype=np.uint8)
        labels[5:12, 4:10, 1:5] = 5
        nib.save(nib.Nifti1Image(labels, np.eye(4)), root / f"label{number}.nii.gz")
        facts = {"PatientName": f"ZJTOKEN{number}", "SeriesDescription": f"T1 ZJTOKEN{number}"}
        image.with_name(f"scan{number}.json").write_text(json.dumps(facts))
        lines.append(f"scan{number}.nii.gz,label{number}.nii.gz,ZMTOKEN {number}")
    manifest = root / "dataset.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


@pytest.mark.slow
@pytest.mark.fault(95, "OK")
def test_no_planted_token_of_a_manifest_is_shared(slicewise: Slicewise, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "ZUTOKEN" / "ZPTOKEN scans")
    work, shared, config = tmp_path / "work", tmp_path / "shared", tmp_path / "private.yaml"
    shared.mkdir()
    config.write_text(CONFIG.replace("{layout: dicom", f"{{root: {str(manifest)!r}"))
    model, place = shared / "model", ("--work", work)
    calls: list[tuple[object, ...]] = [
        ("train", config, "--out", model, *place),
        ("check", manifest, "--html", shared / "page.html", "--json", shared / "check.json",
         "--config", config, *place),
        ("predict", model, manifest.parent / "scan0.nii.gz", "--out", shared / "masks", *place),
        ("report", model, "--out", shared / "report", *place),
        ("report", shared / "masks", "--data", manifest, "--out", shared / "other", *place),
        ("convert", manifest.parent / "scan1.nii.gz", "--out", shared / "converted", *place),
        ("runs", "export", "--all", "--out", shared / "runs.tar", *place),
    ]  # fmt: skip
    for call in calls:
        done = slicewise(*call)
        assert done.returncode in (0, 8), done.stderr
        assert leaks((done.stdout + done.stderr).encode()) == [], call
    found = {name: leaks(content) for name, content in contents(shared)}
    assert any(name.startswith("runs.tar/") and name.endswith(".pt") for name in found)
    assert {name: tokens for name, tokens in found.items() if tokens} == {}
    tracked = {name: leaks(content) for name, content in contents(work / "mlflow")}
    assert {name: tokens for name, tokens in tracked.items() if tokens} == {}


@pytest.mark.slow
def test_who_may_read_what_names_patients(slicewise: Slicewise, tmp_path: Path) -> None:
    studies, work = tmp_path / "studies", tmp_path / "work"
    write_study(studies, 1)
    write_study(studies, 2, is_damaged=True)
    done = slicewise("convert", studies, "--out", tmp_path / "out", "--work", work)
    assert done.returncode == 8, done.stderr
    private = [path for path in work.rglob("*") if path.is_file()]
    assert any(leaks(path.read_bytes()) for path in private)
    for path in private:
        assert path.stat().st_mode & 0o077 == 0, path
    quarantine = next(work.rglob("quarantine.jsonl"))
    entry = json.loads(quarantine.read_text().splitlines()[0])
    assert {"where", "reason", "remedy"} <= set(entry)


@pytest.mark.slow
def test_no_planted_token_is_in_a_plan_or_said_by_a_cluster(
    slicewise: Slicewise, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    studies, work = tmp_path / "ZUTOKEN" / "ZPTOKEN studies", tmp_path / "work"
    for number in range(4):
        write_study(studies, number)
    write_study(studies, 4, is_damaged=True)
    plan, place = tmp_path / "plan.yaml", ("--work", work)
    smallest = ("--set", "training.steps=4", "--set", "data.fold_count=2")
    with (
        dask.config.set({"distributed.admin.log-format": "%(message)s"}),
        LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1",
                     dashboard_address="127.0.0.1:0", memory_limit=0) as cluster,
    ):  # fmt: skip
        address = ("--cluster", cluster.scheduler_address)
        said = ""
        for call in (
            ("plan", studies, "--out", plan, *smallest, *place, *address),
            ("check", studies, *place, *address),
            ("preprocess", plan, *place, *address),
        ):
            done = slicewise(*call)
            assert done.returncode in (0, 8), done.stderr
            said += done.stdout + done.stderr
        said += str(cluster.get_logs())
    captured = capfd.readouterr()
    # The plan names the folder of the data set, for the next command; it is not logged.
    text = re.sub(r"(?m)^ *root: .*$", "", plan.read_text())
    assert leaks((said + captured.out + captured.err + text).encode()) == []
    named = [path for path in work.rglob("*") if path.is_file() and leaks(path.read_bytes())]
    assert named
    assert not [path for path in named if path.stat().st_mode & 0o077]
