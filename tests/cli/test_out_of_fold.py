"""``predict --out-of-fold``: every case of a cross-validation by networks that have not seen it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import LocalCluster

from slicewise.imaging.nifti.reading import read_nifti

Slicewise = Callable[..., Any]
CASES = [f"case{number}" for number in range(6)]


@pytest.fixture(scope="module")
def folds(
    slicewise: Slicewise,
    scans: Path,
    tiny: Path,
    work: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """All folds of the tiny configuration, with other weights than ``model``."""
    out = tmp_path_factory.mktemp("all") / "folds"
    arguments = ("--set", f"data.root={scans}", "--out", out, "--work", work)
    done = slicewise("train", tiny, "--fold", "all", "--set", "seed=5", *arguments)
    assert done.returncode == 0, done.stderr
    return out


def held_out(fold: Path) -> list[str]:
    with (fold / "scores.csv").open() as file:
        return sorted({row["case"] for row in csv.DictReader(file)})


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a scheduler with one worker."""
    with LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1",
                      dashboard_address="127.0.0.1:0", memory_limit=0) as local:  # fmt: skip
        yield local.scheduler_address


@pytest.mark.parametrize("is_on_cluster", [False, True])
def test_every_case_has_the_mask_of_the_fold_that_held_it_out(
    slicewise: Slicewise,
    folds: Path,
    scans: Path,
    work: Path,
    tmp_path: Path,
    cluster: str,
    is_on_cluster: bool,
) -> None:
    out = tmp_path / "masks"
    place = ("--cluster", cluster) if is_on_cluster else ()
    arguments = ("--out-of-fold", "--out", out, "--work", work, *place)
    done = slicewise("predict", folds, scans, *arguments)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.glob("*.nii.gz")) == [
        f"{name}.nii.gz" for name in CASES
    ]
    for fold in folds.glob("fold-*"):
        for name in held_out(fold):
            ours, known = (
                read_nifti(place / f"{name}.nii.gz").voxels for place in (out, fold / "masks")
            )
            np.testing.assert_array_equal(ours, known)


def test_an_ensemble_predicts_the_cases_that_all_of_it_held_out(
    slicewise: Slicewise, folds: Path, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    arguments = ("--out-of-fold", "--out", tmp_path / "both", "--work", work, "--probabilities")
    done = slicewise("predict", folds, scans, "--also", model, *arguments)
    assert done.returncode == 8, done.stderr
    assert "not among these 3" in done.stderr
    shared = held_out(model)
    assert shared == held_out(folds / "fold-0")
    masks = [tmp_path / "both" / f"{name}.nii.gz" for name in shared]
    assert all(path.is_file() for path in masks)
    assert not (tmp_path / "both" / f"{held_out(folds / 'fold-1')[0]}.nii.gz").exists()
    # The mean of the probabilities of both.
    scan, name = scans / "images" / f"{shared[0]}.nii.gz", f"{shared[0]}_probabilities.nii.gz"
    seen = [read_nifti(tmp_path / "both" / name, volume=1).voxels]
    for one in (folds / "fold-0", model):
        alone = tmp_path / f"{one.name}.nii.gz"
        slicewise("predict", one, scan, "--out", alone, "--work", work, "--probabilities")
        seen.append(read_nifti(tmp_path / f"{one.name}_probabilities.nii.gz", volume=1).voxels)
    np.testing.assert_allclose(seen[0], (seen[1] + seen[2]) / 2, atol=1e-5)


def test_mistakes(
    slicewise: Slicewise, folds: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    def asked(model: Path, scan: Path, *more: object) -> Any:
        arguments = ("--out-of-fold", "--out", tmp_path / "mask.nii.gz", "--work", work)
        return slicewise("predict", model, scan, *more, *arguments)

    scan = scans / "images" / "case1.nii.gz"
    twice = asked(folds, scan, "--also", folds)
    assert (twice.returncode, "count twice" in twice.stderr) == (2, True)
    (tmp_path / "stranger.nii.gz").write_bytes(scan.read_bytes())
    stranger = asked(folds, tmp_path / "stranger.nii.gz")
    assert (stranger.returncode, "without --out-of-fold" in stranger.stderr) == (1, True)
    apart = asked(folds / "fold-0", scan, "--also", folds / "fold-1")
    assert (apart.returncode, "no case that all of them held out" in apart.stderr) == (1, True)
    nothing = asked(tmp_path / "none", scan)
    assert (nothing.returncode, "no such f" in nothing.stderr) == (1, True)
