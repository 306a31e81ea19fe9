"""The command answers at once, and explains itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = (
    "data", "check", "convert", "preprocess", "train", "predict", "evaluate", "compare",
    "baseline", "report", "describe", "figures", "demo", "bench", "mlflow", "view", "plan",
)  # fmt: skip
HEAVY = ("torch", "monai", "mlflow", "nibabel", "pydicom", "numpy", "matplotlib", "nilearn")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from slicewise.cli.main import app\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(command: str) -> None:
    slicewise = Path(sys.executable).with_name("slicewise")
    done = subprocess.run(
        [slicewise, command, "--help"], capture_output=True, text=True, check=True
    )
    assert f"slicewise {command}" in done.stdout.split("Example")[1]
