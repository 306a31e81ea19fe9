"""Several contrasts from check to predict: on different grids, and with one missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from slicewise.imaging.nifti.reading import read_nifti

CONFIG = """
name: pairs
data: {contrasts: [T1, T2], labels: {core: 3}, fold_count: 2}
preprocessing: {plane: axial, foreground: all}
network: {features: [4, 8], window: [16, 16]}
training: {steps: 4, validations: 1, batch_size: 4}
inference: {batch_size: 8}
"""
RESAMPLE = ("--set", "reading.different_grids=resample")
ZERO = ("--set", "data.missing_contrasts=zero")


def write_case(folder: Path, seed: int, *, second: bool = True) -> None:
    """T1 of 22 x 19 x 5 voxels; T2 of the same body, with thicker and wider voxels."""
    random = np.random.default_rng(seed)
    label = np.zeros((22, 19, 5), dtype=np.uint8)
    label[6:14, 4:10, 1:4] = 3
    affine = np.diag([1.5, -1.2, 4.0, 1.0])
    affine[:3, 3] = (20, -7, 3)
    folder.mkdir(parents=True)
    scan = random.normal(100, 5, label.shape) + 200 * (label > 0)
    nib.save(nib.Nifti1Image(scan.astype(np.float32), affine), folder / "T1.nii.gz")
    nib.save(nib.Nifti1Image(label, affine), folder / "label.nii.gz")
    if second:
        wide = affine @ np.diag([1.4, 1.3, 1.2, 1.0])
        scan = random.normal(50, 5, (18, 16, 5)).astype(np.float32)
        nib.save(nib.Nifti1Image(scan, wide), folder / "T2.nii.gz")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four cases with T1 and T2 on different grids; the last one lacks its T2."""
    root = tmp_path_factory.mktemp("pairs")
    lines = ["image,label,contrast,case"]
    for number in range(4):
        name = f"case{number}"
        write_case(root / name, number, second=number < 3)
        label = f"{name}/label.nii.gz"
        lines.append(f"{name}/T1.nii.gz,{label},T1,{name}")
        if number < 3:
            lines.append(f"{name}/T2.nii.gz,{label},T2,{name}")
    path = root / "pairs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "pairs.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def pair_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def pair_model(slicewise: Callable[..., Any], manifest: Path, pairs: Path, pair_work: Path) -> Path:
    """A model that was trained on resampled contrasts, one of them missing once."""
    out = pair_work / "model"
    done = slicewise(
        "train", pairs, "--set", f"data.root={manifest}", *RESAMPLE, *ZERO,
        "--out", out, "--work", pair_work,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warning: T2 is missing and replaced by zeros: case3" in done.stderr
    assert "warning: T2 was resampled from 2.1 x 1.56 x 4.8 mm onto 1.5 x 1.2 x 4 mm" in done.stderr
    return out


def test_check_says_what_the_options_are(
    slicewise: Callable[..., Any], manifest: Path, pairs: Path, tmp_path: Path
) -> None:
    arguments = ("check", manifest, "--config", pairs, "--work", tmp_path / "work")
    done = slicewise(*arguments)
    assert done.returncode == 1
    assert "case case3 without T2" in done.stderr
    assert "data.missing_contrasts=zero" in done.stderr
    done = slicewise(*arguments, *ZERO)
    assert done.returncode == 8
    assert "case3: warning: T2 is missing and replaced by zeros" in done.stdout
    # A text is printed once, with the cases that it is about.
    words = " ".join(done.stdout.split())
    assert words.count("set reading.different_grids to resample to interpolate T2") == 1
    done = slicewise(*arguments, *ZERO, *RESAMPLE)
    assert done.returncode == 0
    assert " ".join(done.stdout.split()).count("T2 was resampled") == 1


def test_a_folder_of_studies_is_predicted(
    slicewise: Callable[..., Any], manifest: Path, pair_model: Path, pair_work: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    done = slicewise("predict", pair_model, manifest.parent, "--out", out, "--work", pair_work)
    assert done.returncode == 0, done.stderr
    assert "warning: T2 is missing and replaced by zeros: case3" in done.stderr
    for number in range(4):
        mask = read_nifti(out / f"case{number}.nii.gz")
        first = read_nifti(manifest.parent / f"case{number}" / "T1.nii.gz")
        assert mask.grid_difference_voxels(first) < 1e-6


def test_a_missing_contrast_may_be_refused_and_allowed(
    slicewise: Callable[..., Any], manifest: Path, pair_model: Path, pair_work: Path, tmp_path: Path
) -> None:
    arguments = ("predict", pair_model, manifest, "--out", tmp_path / "masks", "--work", pair_work)
    done = slicewise(*arguments, "--set", "data.missing_contrasts=refuse")
    assert done.returncode == 1
    assert "case case3 without T2" in done.stderr
    assert "data.missing_contrasts=zero" in done.stderr
    assert not (tmp_path / "masks").exists()
    done = slicewise(*arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "masks" / "case3.nii.gz").exists()


def test_one_file_of_two_contrasts_is_refused(
    slicewise: Callable[..., Any], manifest: Path, pair_model: Path, pair_work: Path, tmp_path: Path
) -> None:
    scan = manifest.parent / "case0" / "T1.nii.gz"
    done = slicewise("predict", pair_model, scan, "--out", tmp_path / "m", "--work", pair_work)
    assert done.returncode == 2
    assert "2 images per case (T1, T2)" in done.stderr


@pytest.mark.data
def test_a_dicom_study_on_one_grid_is_a_case(
    slicewise: Callable[..., Any], test_data: Path, tmp_path: Path
) -> None:
    study = test_data / "dicom" / "Study3"
    contrasts = ("--set", "data.contrasts=[T1post, FLAIR, T2]")
    done = slicewise("check", study, "--unlabelled", *contrasts, "--work", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 case of 1 patient" in done.stderr
    assert "PROBLEM" not in done.stdout
    assert "warning" not in done.stdout
