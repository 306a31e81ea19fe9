"""A small labelled data set and its configuration, for tests of use cases and commands."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pytest

from slicewise.imaging.nifti.writing import write_mask, write_volume
from slicewise.imaging.volume import Volume

TINY = """
name: tiny
data: {labels: {core: 3}, patient_pattern: '(\\d+)', fold_count: 2}
preprocessing: {plane: axial, foreground: all}
network: {features: [4, 8], window: [16, 16]}
training: {steps: 4, learning_rate: 0.1, validations: 1, batch_size: 4, keep: last}
inference: {batch_size: 8}
tracking: {experiment: tiny}
"""


@pytest.fixture(scope="session")
def preloaded_workers() -> None:
    """One server process forks the workers of all use cases; what it has loaded, they have."""
    modules = (
        "dataset.cache",
        "workflows.check",
        "imaging.conversion",
        "evaluation.pair_scoring",
        "evaluation.baseline.search",
    )
    multiprocessing.set_forkserver_preload([f"slicewise.{name}" for name in modules])
    forkserver.ensure_running()


@pytest.fixture(scope="session")
def first_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of an empty store."""
    from slicewise.tracking.local_database import ensure_database
    from slicewise.tracking.store import prepare_mlflow

    prepare_mlflow()
    path = tmp_path_factory.mktemp("first") / "mlflow.db"
    ensure_database(path)
    return path


@pytest.fixture(scope="module")
def copied_tables(first_database: Path) -> Iterator[None]:
    """Making the tables of a store takes seconds; here they are copied."""
    from slicewise.tracking import store

    def copy(path: Path) -> None:
        if not path.is_file():
            shutil.copyfile(first_database, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "ensure_database", copy)
        yield


def write_scan(folder: Path, name: str, seed: int = 0) -> None:
    """An oblique scan with a bright block, and its label of value 3."""
    random = np.random.default_rng(seed)
    label = np.zeros((22, 19, 5), dtype=np.uint8)
    label[6:14, 4:10, 1:4] = 3
    voxels = (random.normal(100, 5, label.shape) + 200 * (label > 0)).astype(np.float32)
    turn = np.radians(8)
    affine = np.eye(4)
    affine[:2, :2] = [[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine = affine @ np.diag([1.5, 1.2, 4.0, 1.0])
    affine[:3, 3] = (20, -7, 3)
    scan = Volume(voxels, affine)
    write_volume(scan, folder / "images" / f"{name}.nii.gz")
    write_mask(scan.with_voxels(label), scan, folder / "labels" / f"{name}.nii.gz")


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six labelled scans of six patients."""
    folder = tmp_path_factory.mktemp("scans")
    for number in range(6):
        write_scan(folder, f"case{number}", number)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration that trains in a second."""
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(TINY)
    return path
