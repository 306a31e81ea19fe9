"""The demo from end to end on a small cohort, and a training that a signal ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SLICEWISE = Path(sys.executable).with_name("slicewise")
SIGNAL_BUDGET_SECONDS = 120


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Call the installed command from the root of the project."""
    command = [SLICEWISE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of one small demo."""
    folder = tmp_path_factory.mktemp("demo")
    done = run("demo", "--subjects", "8", "--set", "training.steps=30", "--work", folder)
    assert done.returncode == 0, done.stderr
    assert "synthetic" in done.stderr
    assert "white_matter" in done.stdout
    assert "champion" in done.stdout
    return folder


def test_demo_leaves_masks_scores_picture_and_model(work: Path) -> None:
    model = work / "demo" / "model"
    assert (model / "examples.png").stat().st_size > 50_000
    assert len(list((model / "masks").glob("*.nii.gz"))) == 2
    assert len((model / "scores.csv").read_text().splitlines()) == 1 + 2 * 3
    assert "white_matter" in (model / "report" / "report.html").read_text()
    assert list((model / "report" / "figures").glob("*case*.png"))


def test_registered_demo_model_predicts_a_dicom_series(work: Path, tmp_path: Path) -> None:
    series = work / "demo" / "cohort" / "images" / "DEMO-003"
    mask = tmp_path / "mask.nii.gz"
    done = run("predict", "models:/demo@champion", series, "--out", mask, "--work", work)
    assert done.returncode == 0, done.stderr
    assert mask.exists()


def test_terminated_training_saves_and_goes_on(work: Path, tmp_path: Path) -> None:
    cohort = work / "demo" / "cohort"
    arguments = [
        "train", "configs/smoke.yaml", "--set", f"data.root={cohort}", "--work", work,
        "--out", tmp_path, "--set", "training.steps=400",
    ]  # fmt: skip
    started = subprocess.Popen(
        [SLICEWISE, *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The run is written just before the first step.
    deadline = time.monotonic() + SIGNAL_BUDGET_SECONDS
    while not (tmp_path / "run.json").exists():
        assert started.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    started.send_signal(signal.SIGTERM)
    _, errors = started.communicate(timeout=SIGNAL_BUDGET_SECONDS)
    assert started.returncode == 143, errors
    assert "--resume" in errors
    assert (tmp_path / "last.pt").exists()
    first_run = json.loads((tmp_path / "run.json").read_text())
    done = run(*arguments, "--resume")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run.json").read_text()) == first_run
