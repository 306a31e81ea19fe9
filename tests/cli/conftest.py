"""A small trained model, and a way to call the command."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Done:
    """What a call of the command left."""

    returncode: int
    stdout: str
    stderr: str


Slicewise = Callable[..., Done]


@pytest.fixture(scope="module", autouse=True)
def _quick(preloaded_workers: None, copied_tables: None) -> None:
    """Workers and stores that are ready at once."""


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


@pytest.fixture(scope="session")
def _trained(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    work, out = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("model") / "fold0"
    done = slicewise("train", tiny, "--set", f"data.root={scans}", "--out", out, "--work", work)
    assert done.returncode == 0, done.stderr
    return work, out


@pytest.fixture(scope="session")
def work(_trained: tuple[Path, Path]) -> Path:
    """Cache, runs and store of all tests that share the model, which is version 1 of ``tiny``."""
    return _trained[0]


@pytest.fixture(scope="session")
def model(_trained: tuple[Path, Path]) -> Path:
    """The folder that one training left."""
    return _trained[1]
