"""One training by several processes: the same model as by one, with one voice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Slicewise

SETTINGS = (
    *("--set", "network.normalization=instance"),
    *("--set", "training.precision=float32"),
)
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m")


@pytest.fixture(scope="module")
def alone(
    slicewise: Slicewise,
    tiny: Path,
    scans: Path,
    work: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The model that one process trains."""
    out = tmp_path_factory.mktemp("alone") / "model"
    data = f"data.root={scans}"
    done = slicewise("train", tiny, "--set", data, *SETTINGS, "--out", out, "--work", work)
    assert done.returncode == 0, done.stderr
    return out


def require_same_results(ours: Path, theirs: Path) -> None:
    for name in ("scores.csv", "history.jsonl"):
        assert (ours / name).read_text() == (theirs / name).read_text()
    masks = sorted((ours / "masks").glob("*.nii.gz"))
    assert len(masks) == 3
    for mask in masks:
        assert mask.read_bytes() == (theirs / "masks" / mask.name).read_bytes()


@pytest.mark.slow
def test_two_processes_of_this_machine(
    slicewise: Slicewise, tiny: Path, scans: Path, work: Path, tmp_path: Path, alone: Path
) -> None:
    out, data = tmp_path / "model", f"data.root={scans}"
    given = ("--set", data, *SETTINGS, "--out", out, "--work", work, "--devices", "2")
    done = slicewise("train", tiny, *given)
    assert done.returncode == 0, done.stderr
    assert "2 processes on 1 machine train together" in done.stderr
    require_same_results(out, alone)


@pytest.mark.slow
def test_two_processes_of_torchrun(
    tiny: Path, scans: Path, work: Path, tmp_path: Path, alone: Path
) -> None:
    out, data = tmp_path / "model", f"data.root={scans}"
    given = ("--set", data, *SETTINGS, "--out", out, "--work", work)
    done = subprocess.run(
        [*TORCHRUN, "slicewise", "train", tiny, *given], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Held-out cases") == done.stderr.count("train together") == 1
    require_same_results(out, alone)


def test_more_processes_than_cores(
    slicewise: Slicewise, tiny: Path, scans: Path, tmp_path: Path
) -> None:
    out, data = tmp_path / "model", f"data.root={scans}"
    done = slicewise("train", tiny, "--set", data, "--out", out, "--devices", "1000")
    assert done.returncode == 2
    assert "--devices 1000" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(("rank", "said"), [("0", "without torchrun"), ("1", "")])
def test_torchrun_is_for_trainings(
    slicewise: Slicewise, monkeypatch: pytest.MonkeyPatch, rank: str, said: str
) -> None:
    place = {"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    done = slicewise("models")
    assert done.returncode == 2
    assert said in done.stderr
    assert bool(done.stderr) == bool(said)
