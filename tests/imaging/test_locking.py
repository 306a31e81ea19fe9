"""One folder, one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slicewise.errors import OutputError
from slicewise.imaging.locking import LOCK, sole_user


def use(folder: Path) -> None:
    with sole_user(folder):
        pass


@pytest.mark.fault(78, "E")
def test_one_folder_one_user(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    with sole_user(folder), pytest.raises(OutputError, match=f"process {os.getpid()}") as caught:
        use(folder)
    assert caught.value.where == str(folder)
    use(folder)  # free again


@pytest.mark.fault(78, "E")
def test_another_process_holds_the_folder(tmp_path: Path) -> None:
    code = (
        "import sys, filelock\n"
        "with filelock.FileLock(sys.argv[1]):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / LOCK)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="choose another `out`"):
            use(tmp_path)
        process.communicate("")
    use(tmp_path)


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with sole_user(tmp_path):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    use(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="a folder that can be written"):
        use(tmp_path / "file" / "out")
