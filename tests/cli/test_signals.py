"""A training that a signal ends, wherever it is, goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Slicewise = Callable[..., Any]
START = """
import importlib, sys, time

def stay(*_, **__):
    print("here", flush=True)
    time.sleep(60)

setattr(importlib.import_module({module!r}), {name!r}, stay)
from slicewise.cli.main import main
sys.argv[0] = "slicewise"
main()
"""


@pytest.mark.slow
@pytest.mark.fault(107, "E")
@pytest.mark.parametrize(
    ("module", "name", "remedy"),
    [
        ("slicewise.workflows.train", "prepare", "give the command again"),
        ("slicewise.segmentation.training", "validate", "continue with --resume"),
        ("slicewise.workflows.train_fold", "predict_held_out", "continue with --resume"),
        ("slicewise.workflows.train_fold", "register", "continue with --resume"),
    ],
)
def test_answered_within_seconds(
    slicewise: Slicewise,
    scans: Path,
    tiny: Path,
    work: Path,
    tmp_path: Path,
    module: str,
    name: str,
    remedy: str,
) -> None:
    out = tmp_path / "model"
    arguments = ["train", tiny, "--set", f"data.root={scans}", "--out", out, "--work", work]
    with subprocess.Popen(
        [sys.executable, "-c", START.format(module=module, name=name), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        text=True,
    ) as training:
        assert training.stdout is not None
        assert training.stdout.readline() == "here\n", training.communicate()[1]
        begun = time.monotonic()
        training.send_signal(signal.SIGHUP)
        said = training.communicate(timeout=60)[1]
    assert time.monotonic() - begun < 5
    assert training.returncode == 129
    assert "the signal SIGHUP" in said
    assert remedy in said
    assert "Traceback" not in said
    if not (out / "run.json").is_file():
        return
    from slicewise.tracking.store import open_store

    run_id = json.loads((out / "run.json").read_text())["run_id"]
    assert slicewise("sync", "--work", work).returncode == 0
    run = open_store(work).client.get_run(run_id)
    assert run.info.status == "KILLED"
    assert run.data.tags["slicewise.ended_by"] == "SIGHUP"
    done = slicewise(*arguments, "--resume")
    assert done.returncode == 0, done.stderr
    assert open_store(work).client.get_run(run_id).info.status == "FINISHED"
