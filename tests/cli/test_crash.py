"""What no room has foreseen: words for a person, the traceback in a private file."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slicewise.__main__ import main as start_command
from slicewise.cli import main as command
from slicewise.cli.crash import describe_crash

Slicewise = Callable[..., Any]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user that takes tracebacks."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "slicewise"


def _raising(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


@pytest.mark.fault(119, "E")
@pytest.mark.parametrize("error", [ZeroDivisionError("patient Smith"), RecursionError("deep")])
def test_unforeseen_error(
    slicewise: Slicewise, state: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(command, "app", _raising(error))
    done = slicewise("check", "some/folder")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Smith" not in done.stderr
    (file,) = state.iterdir()
    assert str(file) in done.stderr
    assert "report it" in done.stderr
    text = file.read_text()
    assert "Traceback" in text
    assert str(error) in text
    assert "check some/folder" in text


def test_the_traceback_is_for_its_owner_alone(state: Path) -> None:
    described = describe_crash(ValueError("a name"))
    path = Path(described.where)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_no_folder_for_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert "could not be saved" in describe_crash(ValueError("a name")).remedy


def test_too_little_memory(state: Path) -> None:
    described = describe_crash(MemoryError())
    assert described.found == "not enough memory"
    assert len(list(state.iterdir())) == 1


@pytest.mark.fault(119, "E")
def test_interrupted_from_the_keyboard(
    slicewise: Slicewise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "app", _raising(KeyboardInterrupt()))
    done = slicewise("check")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.fault(107, "E")
def test_interrupted_while_the_command_line_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "slicewise.cli.main":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "slicewise.cli.main")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as leaving:
        start_command()
    assert leaving.value.code == 130


@pytest.mark.fault(119, "E")
def test_nobody_reads_the_output() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "slicewise", "--version"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_missing_package_is_no_crash(
    slicewise: Slicewise, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "app", _raising(ModuleNotFoundError("No module", name="cv2")))
    done = slicewise("baseline")
    assert done.returncode == 1
    assert re.search("pip install 'slicewise.baseline.'", done.stderr)
    assert not state.exists()
