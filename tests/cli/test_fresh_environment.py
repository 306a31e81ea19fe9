"""A registered model in an environment made of nothing but its own requirements."""

from __future__ import annotations

import base64
import json
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import torch

from slicewise.tracking import open_store

Slicewise = Callable[..., Any]
NO_PACKAGES = "no package index answers"

ANSWER = """
import base64, json, sys
import mlflow.pyfunc

model = mlflow.pyfunc.load_model(sys.argv[1])
scan = base64.b64encode(open(sys.argv[2], "rb").read()).decode()
answer = model.predict([{"nifti": scan}])
import slicewise
print(json.dumps({"mask": answer["mask"][0], "package": slicewise.__file__}))
"""


@pytest.mark.slow
def test_the_same_mask_bit_for_bit_with_pickle_forbidden(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    source = open_store(work).client.get_model_version_download_uri("tiny", "1")
    folder = Path(unquote(urlsplit(source).path))
    assert model.is_dir()
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / "bin" / "python"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", "-r", folder / "requirements.txt"],
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    if "connection broken" in installed.stderr and "No matching distribution" in installed.stderr:
        pytest.skip(NO_PACKAGES)
    assert installed.returncode == 0, installed.stderr

    scan, out = scans / "images" / "case1.nii.gz", tmp_path / "mask.nii.gz"
    answered = subprocess.run(
        [python, "-c", ANSWER, folder, scan],
        cwd=tmp_path,
        env={
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            # Sums depend on the number of threads in their last bits.
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert answered.returncode == 0, answered.stderr
    answer = json.loads(answered.stdout.splitlines()[-1])
    assert answer["package"].startswith(str(folder))
    done = slicewise("predict", "models:/tiny/1", scan, "--out", out, "--work", work)
    assert done.returncode == 0, done.stderr
    assert base64.b64decode(answer["mask"]) == out.read_bytes()
