"""The scripts of docs/slurm on a SLURM of one node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SCRIPTS = HERE.parents[1] / "docs" / "slurm"
PROGRAMS = ("munged", "slurmctld", "slurmd")
SECONDS = 240.0

pytestmark = pytest.mark.slow


class Slurm:
    """Submits scripts in a folder, and waits for what becomes of them."""

    def __init__(self, configuration: Path, folder: Path) -> None:
        self.folder = folder
        places = (Path(sys.executable).parent, os.environ["PATH"])
        self._environment = {
            **os.environ,
            "SLURM_CONF": str(configuration),
            "PATH": os.pathsep.join(map(str, places)),
        }

    def run(self, *command: str | Path) -> str:
        return subprocess.run(
            list(map(str, command)), cwd=self.folder, env=self._environment, check=True,
            capture_output=True, text=True, timeout=60,
        ).stdout  # fmt: skip

    def submit(self, *arguments: str | Path) -> str:
        """Number of the job."""
        return self.run("sbatch", "--parsable", *arguments).strip()

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        end = time.monotonic() + SECONDS
        while not is_so():
            assert time.monotonic() < end, self.run("scontrol", "show", "job") + self.logs
            time.sleep(0.2)

    def finish(self) -> None:
        self.wait_for(lambda: not self.run("squeue", "--noheader"))

    @property
    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration file of a running SLURM."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip("needs slurm-wlm and munge of Debian, and their daemons the user root")
    folder = tmp_path_factory.mktemp("slurm")
    start = [HERE / "one_node.sh", folder]
    started = subprocess.run(start, capture_output=True, text=True, check=False, timeout=60)
    if started.returncode:
        pytest.skip(f"SLURM does not start here: {started.stderr[-500:]}")
    yield folder / "slurm.conf"
    subprocess.run([*start, "stop"], check=True, timeout=60)


@pytest.fixture
def slurm(configuration: Path, tmp_path: Path) -> Slurm:
    return Slurm(configuration, tmp_path)


def test_folds_go_on_after_they_are_cancelled(slurm: Slurm, tiny: Path, scans: Path) -> None:
    out = slurm.folder / "out"
    settings = (f"data.root={scans}", "training.steps=600", "training.validations=30")
    command: tuple[str | Path, ...] = (
        "--array=0-1", "--cpus-per-task=1", SCRIPTS / "folds.sbatch", tiny, out, "--work", "work",
        *(item for setting in settings for item in ("--set", setting)),
    )  # fmt: skip
    job = slurm.submit(*command)
    # Each as soon as it has a state: the other may be far behind.
    for fold in (0, 1):
        slurm.wait_for((out / f"fold-{fold}" / "last.pt").is_file)
        slurm.run("scancel", f"{job}_{fold}")
    slurm.finish()
    assert slurm.logs.count("the state is saved") == 2, slurm.logs
    slurm.submit(*command)
    slurm.finish()
    assert len(list(out.glob("fold-*/model.json"))) == 2, slurm.logs


def test_one_training_of_two_processes_and_prediction_by_two_workers(
    slurm: Slurm, tiny: Path, scans: Path
) -> None:
    place = ("--work", "work", "--set", f"data.root={scans}")
    slurm.submit(
        "--nodes=1", "--cpus-per-task=2", SCRIPTS / "training.sbatch", tiny, "model", *place
    )
    slurm.finish()
    assert re.search("2 processes.* train together", slurm.logs), slurm.logs
    assert (slurm.folder / "model" / "model.json").is_file(), slurm.logs
    images = scans / "images"
    command = ("predict", "model", images, "--out", "masks", "--work", "work")
    slurm.submit("--ntasks=2", SCRIPTS / "scans.sbatch", *command)
    slurm.finish()
    masks = {path.name for path in (slurm.folder / "masks").glob("*.nii.gz")}
    assert masks == {path.name for path in images.glob("*.nii.gz")}, slurm.logs
    # The certificate of the job is gone.
    assert not list(slurm.folder.glob(".dask-*"))
