"""A small labelled data set, a small trained model, and a way to call the command."""

from __future__ import annotations

import io
import multiprocessing
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pytest

from slicewise.imaging.nifti.writing import write_mask, write_volume
from slicewise.imaging.volume import Volume


@dataclass(frozen=True)
class Done:
    """What a call of the command left."""

    returncode: int
    stdout: str
    stderr: str


Slicewise = Callable[..., Done]

TINY = """
name: tiny
data: {labels: {core: 3}, patient_pattern: '(\\d+)', fold_count: 2}
preprocessing: {plane: axial, foreground: all}
network: {features: [4, 8], window: [16, 16]}
training: {steps: 4, learning_rate: 0.1, validations: 1, batch_size: 4, keep: last}
inference: {batch_size: 8}
tracking: {experiment: tiny}
"""


@pytest.fixture(scope="session", autouse=True)
def _workers_that_know_every_command() -> None:
    """One server process forks the workers of all commands; what it has loaded, they have."""
    modules = (
        "dataset.cache",
        "cli.checking_run",
        "cli.converting_run",
        "evaluation.pair_scoring",
        "evaluation.baseline.search",
    )
    multiprocessing.set_forkserver_preload([f"slicewise.{name}" for name in modules])
    forkserver.ensure_running()


@pytest.fixture(scope="session")
def first_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of an empty store."""
    from slicewise.tracking import store

    path = tmp_path_factory.mktemp("first") / "mlflow.db"
    store._ensure_database(path)
    return path


@pytest.fixture(scope="module", autouse=True)
def _tables_are_copied(first_database: Path) -> Iterator[None]:
    """Making the tables of a store takes seconds; for the tests of this folder they are copied."""
    from slicewise.tracking import store

    def copy(path: Path) -> None:
        if not path.is_file():
            shutil.copyfile(first_database, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_ensure_database", copy)
        yield


@pytest.fixture(scope="session")
def slicewise() -> Slicewise:
    """Call the command with arguments, as its entry point does."""
    from slicewise.cli.main import main

    def call(*arguments: str | Path) -> Done:
        before = sys.argv
        sys.argv = ["slicewise", *map(str, arguments)]
        code: object = 0
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            try:
                main()
            except SystemExit as leaving:
                code = leaving.code
            finally:
                sys.argv = before
        return Done(int(str(code or 0)), out.getvalue(), err.getvalue())

    return call


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


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache, runs and store of all tests that share the model."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="session")
def model(
    slicewise: Slicewise,
    scans: Path,
    tiny: Path,
    work: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder that one training left."""
    out = tmp_path_factory.mktemp("model") / "fold0"
    done = slicewise("train", tiny, "--set", f"data.root={scans}", "--out", out, "--work", work)
    assert done.returncode == 0, done.stderr
    return out
