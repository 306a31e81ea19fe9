"""A trained model is served by a real process, and asked by the command, by Python and by curl."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tests.servers import free_port, served

from slicewise.imaging.nifti.reading import read_nifti

Slicewise = Callable[..., Any]
SERVING = Path(__file__).parents[2] / "docs" / "serving.md"


@pytest.fixture(scope="module")
def process(
    model: Path, work: Path, scans: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Address and process of a service."""
    options = ("--allow-paths", scans, "--max-megabytes", "5")
    with served(model, work, tmp_path_factory.mktemp("log"), *options) as service:
        yield service


@pytest.mark.slow
def test_a_served_mask_is_the_mask_of_the_command(
    slicewise: Slicewise,
    process: tuple[str, Any],
    model: Path,
    scans: Path,
    work: Path,
    tmp_path: Path,
) -> None:
    url, _ = process
    here, there = tmp_path / "here", tmp_path / "there"
    images = scans / "images"
    assert slicewise("predict", model, images, "--out", here, "--work", work).returncode == 0
    done = slicewise("predict", "--endpoint", url, images, "--out", there, "--work", work)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in here.glob("*.nii.gz"))
    assert names == sorted(path.name for path in there.glob("*.nii.gz"))
    assert len(names) == 6
    for name in names:
        assert (here / name).read_bytes() == (there / name).read_bytes()
    # How sure the model is comes over the wire, too.
    assert (there / "confidence.csv").read_text() == (here / "confidence.csv").read_text()


@pytest.mark.slow
def test_the_examples_of_the_documentation_save_masks(
    process: tuple[str, Any], scans: Path, tmp_path: Path
) -> None:
    url, _ = process
    text = SERVING.read_text(encoding="utf-8")
    blocks = re.findall(r"```(python|sh)\n(.*?)```", text, re.DOTALL)
    examples = {kind: code.replace("http://127.0.0.1:5001", url) for kind, code in blocks}
    assert set(examples) == {"python", "sh"}
    shutil.copy(scans / "images" / "case1.nii.gz", tmp_path / "scan.nii.gz")
    masks = []
    for kind, program in (("python", [sys.executable, "-c"]), ("sh", ["bash", "-ec"])):
        subprocess.run([*program, examples[kind]], cwd=tmp_path, check=True, timeout=60)
        masks.append(read_nifti(tmp_path / "mask.nii.gz").voxels)
        (tmp_path / "mask.nii.gz").unlink()
    assert np.array_equal(*masks)
    assert masks[0].shape == (22, 19, 5)


@pytest.mark.slow
def test_a_signal_ends_the_service_with_its_children(
    model: Path, work: Path, tmp_path: Path
) -> None:
    with served(model, work, tmp_path) as (_, service):
        children = psutil.Process(service.pid).children(recursive=True)
        assert len(children) >= 2
        begun = time.monotonic()
        service.terminate()
        assert service.wait(timeout=30) == -signal.SIGTERM
    assert time.monotonic() - begun < 15
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert not list((work / "serving").glob(f"{service.pid}-*"))
    said = (tmp_path / "serve.log").read_text()
    assert "Traceback" not in said
    assert "Warning" not in said
    assert "slicewise predict --endpoint" in said


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["model", "scan", "--endpoint", "http://127.0.0.1:9"], "2 arguments"),
        (["scan"], "1 argument"),
        (["scan", "--endpoint", "http://127.0.0.1:9", "--also", "x"], "--also"),
        (["scan", "--endpoint", "http://127.0.0.1:9", "--uncertainty"], "--uncertainty"),
        (["scan", "--endpoint", "http://127.0.0.1:9", "--out-of-fold"], "--out-of-fold"),
        (["scan", "--endpoint", "http://127.0.0.1:9", "--set", "reading.a=b"], "--set"),
    ],
)
def test_arguments_that_contradict_each_other(
    slicewise: Slicewise, tmp_path: Path, arguments: list[str], found: str
) -> None:
    done = slicewise("predict", *arguments, "--out", tmp_path, "--work", tmp_path)
    assert done.returncode == 2
    assert f"found:    {found}" in done.stderr


def test_nothing_that_answers_is_named(slicewise: Slicewise, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = slicewise("predict", "scan", "--endpoint", url, "--out", tmp_path, "--work", tmp_path)
    assert done.returncode == 1
    assert "slicewise serve MODEL" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named(slicewise: Slicewise, model: Path, work: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        done = slicewise("serve", model, "--port", port, "--work", work)
    assert done.returncode == 2
    assert "choose another port" in done.stderr


def test_a_folder_of_paths_must_exist(
    slicewise: Slicewise, model: Path, work: Path, tmp_path: Path
) -> None:
    done = slicewise("serve", model, "--allow-paths", tmp_path / "none", "--work", work)
    assert done.returncode == 2
    assert "no such folder" in done.stderr


def test_all_folds_are_one_registered_model_that_predicts_like_their_folder(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    out, place = tmp_path / "folds", tmp_path / "work"
    named = tiny.read_text().replace("name: tiny", "name: together")
    config = tmp_path / "together.yaml"
    config.write_text(named)
    arguments = ("train", config, "--set", f"data.root={scans}", "--fold", "all", "--out", out)
    done = slicewise(*arguments, "--work", place)
    assert done.returncode == 0, done.stderr
    listed = tmp_path / "models.json"
    assert slicewise("models", "--json", listed, "--work", place).returncode == 0
    (version,) = json.loads(listed.read_text())
    assert version["aliases"] == ["champion"]
    assert version["folds"] == "by patient"
    assert version["run_id"] == json.loads((out / "run.json").read_text())["run_id"]

    scan = scans / "images" / "case3.nii.gz"
    masks = []
    for name, model in (("a", out), ("b", "models:/together@champion"), ("c", version["run_id"])):
        target = tmp_path / f"{name}.nii.gz"
        done = slicewise("predict", model, scan, "--out", target, "--work", place)
        assert done.returncode == 0, done.stderr
        masks.append(target.read_bytes())
    assert masks[0] == masks[1] == masks[2]

    again = slicewise(*arguments, "--work", place, "--resume")
    assert again.returncode == 0, again.stderr
    assert slicewise("models", "--json", listed, "--work", place).returncode == 0
    assert len(json.loads(listed.read_text())) == 1
    assert json.loads((out / "run.json").read_text())["run_id"] == version["run_id"]
