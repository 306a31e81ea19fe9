"""A file is there whole or not at all, with the permissions that it should have."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from slicewise.errors import OutputError
from slicewise.imaging.files import (
    atomic_file,
    private_folder,
    sha256_of,
    write_table,
    write_text,
)


@pytest.fixture(params=[0o022, 0o027, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    former = os.umask(request.param)
    yield request.param
    os.umask(former)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_written_beside_then_renamed(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mask.nii.gz"
    with atomic_file(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".")
        assert temporary.name.endswith(".nii.gz")
        temporary.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_a_failing_writer_leaves_the_old_file(tmp_path: Path, kind: type[BaseException]) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("old")

    def fail() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("half of the n")
            raise kind

    with pytest.raises(kind):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_named_with_the_path(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("old")

    def fail() -> None:
        with atomic_file(path):
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device") as caught:
        fail()
    assert caught.value.where == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError) as caught:
        write_text(tmp_path / "file" / "scores.csv", "new")
    assert caught.value.where == str(tmp_path / "file" / "scores.csv")
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_folder_stands_where_the_file_should(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").mkdir()
    with pytest.raises(OutputError):
        write_text(tmp_path / "scores.csv", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def test_permissions_follow_the_umask(tmp_path: Path, umask: int) -> None:
    write_text(tmp_path / "scores.csv", "text")
    assert mode(tmp_path / "scores.csv") == 0o666 & ~umask


def test_the_umask_itself_stays(tmp_path: Path, umask: int) -> None:
    write_text(tmp_path / "scores.csv", "text")
    after = os.umask(umask)
    assert after == umask


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "note", "Größe\n")
    assert (tmp_path / "note").read_bytes() == b"Gr\xc3\xb6\xc3\x9fe\n"


def test_private_folder_is_its_owners(tmp_path: Path) -> None:
    assert mode(private_folder(tmp_path / "work" / "cache")) == 0o700
    open_folder = tmp_path / "open"
    open_folder.mkdir(mode=0o755)
    assert mode(private_folder(open_folder)) == 0o700


def test_private_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        private_folder(tmp_path / "file" / "cache")


def test_checksum_of_a_file_and_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "sub" / "a").write_bytes(b"one")
    one, two = (hashlib.sha256(content).hexdigest() for content in (b"one", b"two"))
    assert sha256_of(tmp_path / "b") == two
    assert sha256_of(tmp_path) == hashlib.sha256((two + one).encode()).hexdigest()


def test_a_table_leaves_cells_of_undefined_values_empty(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = [
        ("a, b", 2, 1 / 3, True),
        ("c", None, float("nan"), False),
        ("d", np.int64(4), np.float32(0.25), np.True_),
    ]
    write_table(path, ("case", "count", "dice", "chosen"), rows)
    assert path.read_text() == (
        "case,count,dice,chosen\n"
        '"a, b",2,0.333333,yes\n'
        "c,,,no\n"
        "d,4,0.25,yes\n"
    )  # fmt: skip


def test_a_table_has_the_digits_that_are_asked_for(tmp_path: Path) -> None:
    write_table(tmp_path / "table.csv", ("seconds",), [(0.123456,)], digits=3)
    assert (tmp_path / "table.csv").read_text() == "seconds\n0.123\n"


@pytest.mark.fault(120, "E")
@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), OSError("4096 requested and 0 written")],
)
def test_full_disk_names_path_and_bytes(tmp_path: Path, error: OSError) -> None:
    path = tmp_path / "deep" / "file.bin"
    with pytest.raises(OutputError) as caught, atomic_file(path, size_bytes=7_300_000):
        raise error
    assert caught.value.where == str(path)
    assert caught.value.expected == "room for at least 7.3 MB"
    assert caught.value.found.startswith("No space left on device: ")
    assert f"are free in {path.parent}" in caught.value.found
    assert list(path.parent.iterdir()) == []


@pytest.mark.fault(120, "E")
def test_full_disk_counts_what_was_written(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_file(tmp_path / "a") as temporary:
            temporary.write_bytes(bytes(4096))
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="at least 4,096 bytes"):
        write()


_ENDS_WHILE_A_THREAD_WRITES = """
import os, threading
from slicewise.imaging.files import temporary_folder

def refuse(*_, **__):
    raise OSError(39, "Directory not empty")

def write(begun):
    with temporary_folder():
        os.rmdir = refuse
        begun.set()
        threading.Event().wait()

begun = threading.Event()
threading.Thread(target=write, args=(begun,), daemon=True).start()
begun.wait()
"""


@pytest.mark.fault(120, "E")
def test_a_process_ends_quietly_while_a_thread_writes_to_a_temporary_folder(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ENDS_WHILE_A_THREAD_WRITES],
        capture_output=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        check=True,
    )
    assert done.stderr == b""
    assert len(list(tmp_path.iterdir())) == 1
