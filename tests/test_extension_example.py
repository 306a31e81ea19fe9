"""A package of another author, installed into a fresh environment, trains and predicts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest

import slicewise
from slicewise.imaging.nifti.writing import write_mask, write_volume
from slicewise.imaging.volume import Volume

EXAMPLE = Path(__file__).parent / "extension_example"
CONFIG = """
name: extended
data: {labels: {core: 3}, patient_pattern: '(\\d+)', fold_count: 2}
preprocessing: {plane: axial, foreground: all}
network:
  name: two_scales
  options: {channels: 4}
  window: [15, 17]
training:
  loss: tversky
  loss_options: {false_positive_weight: 0.4}
  steps: 3
  validations: 1
  batch_size: 4
augmentation:
  additional:
    blank_rows: {probability: 0.5}
"""


def write_scans(folder: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(4):
        label = np.zeros((22, 19, 5), dtype=np.uint8)
        label[6:14, 4:10, 1:4] = 3
        voxels = (random.normal(100, 5, label.shape) + 200 * (label > 0)).astype(np.float32)
        scan = Volume(voxels, np.diag([1.5, 1.2, 4.0, 1.0]))
        write_volume(scan, folder / "images" / f"case{number}.nii.gz")
        write_mask(scan.with_voxels(label), scan, folder / "labels" / f"case{number}.nii.gz")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a fresh environment with the example; a .pth file lends it what is installed."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder)
    own = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    source = Path(slicewise.__file__).parents[1]
    (own / "borrowed.pth").write_text(f"{source}\n{sysconfig.get_path('purelib')}\n")
    example = shutil.copytree(EXAMPLE, folder / "extension_example")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    installed = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", own, example],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert installed.returncode == 0, installed.stderr
    return folder / "bin" / "python"


def run(python: Path | str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    source = str(Path(slicewise.__file__).parents[1])
    return subprocess.run(
        [python, "-m", "slicewise", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_trains_predicts_and_says_what_is_missing_elsewhere(python: Path, tmp_path: Path) -> None:
    write_scans(tmp_path / "scans")
    config, out, work = tmp_path / "extended.yaml", tmp_path / "model", tmp_path / "work"
    config.write_text(CONFIG)
    options = ("--set", f"data.root={tmp_path / 'scans'}", "--out", out, "--work", work)

    described = run(python, "describe", config, "--work", work)
    assert described.returncode == 0, described.stderr
    assert "coarse.2" in described.stdout
    assert "ConvTranspose2d" in described.stdout
    trained = run(python, "train", config, *options)
    assert trained.returncode == 0, trained.stderr
    scan, mask = tmp_path / "scans" / "images" / "case0.nii.gz", tmp_path / "mask.nii.gz"
    predicted = run(python, "predict", out, scan, "--out", mask, "--work", work)
    assert predicted.returncode == 0, predicted.stderr
    assert mask.is_file()

    wrong = run(python, "describe", config, "--set", "network.options.chanels=3")
    assert wrong.returncode == 2
    assert "an option of two_scales: channels" in wrong.stderr
    # This environment has never heard of the package.
    elsewhere = run(sys.executable, "predict", out, scan, "--out", mask, "--work", work)
    assert elsewhere.returncode == 1
    assert "install slicewise-example 0.1" in " ".join(elsewhere.stderr.split())
    refused = run(sys.executable, "describe", config, "--work", work)
    assert refused.returncode == 2
    text = " ".join(refused.stderr.split())
    assert f"{config}:6: network.name" in text
    for kind in ("a network", "a loss", "an augmentation"):
        assert f"{kind} that is installed:" in text
    assert "segresnet" in text


@pytest.mark.slow
def test_a_model_predicts_without_the_package_of_its_loss(python: Path, tmp_path: Path) -> None:
    write_scans(tmp_path / "scans")
    config, out, work = tmp_path / "extended.yaml", tmp_path / "model", tmp_path / "work"
    config.write_text(CONFIG)
    trained = run(
        python, "train", config, "--set", "network.name=attention_unet",
        "--set", "network.options.channels=[4,8]", "--set", f"data.root={tmp_path / 'scans'}",
        "--out", out, "--work", work,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    scan, mask = tmp_path / "scans" / "images" / "case0.nii.gz", tmp_path / "mask.nii.gz"
    predicted = run(sys.executable, "predict", out, scan, "--out", mask, "--work", work)
    assert predicted.returncode == 0, predicted.stderr
