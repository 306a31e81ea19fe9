"""Files that Slicewise wrote are read whole and unchanged, or not at all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from slicewise.errors import DataError
from slicewise.imaging.own_files import CHECKSUMS, OwnFile, read_checksums, write_checksums

NUMBERS = TypeAdapter(dict[str, int])


@pytest.fixture
def file(tmp_path: Path) -> OwnFile:
    (tmp_path / "facts.json").write_text('{"cases": 3}\n')
    return OwnFile(tmp_path / "facts.json", "the facts", "restore it")


def test_sha256sum_checks_the_list(file: OwnFile) -> None:
    write_checksums(file.path.parent, ["facts.json", "not there"], {"later.txt": "later\n"})
    (file.path.parent / "later.txt").write_text("later\n")
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", CHECKSUMS],
        cwd=file.path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "facts.json: OK\nlater.txt: OK\n"


def test_list_of_sha256sum_is_read(file: OwnFile) -> None:
    with (file.path.parent / CHECKSUMS).open("w") as listed:
        subprocess.run(["sha256sum", "facts.json"], cwd=file.path.parent, stdout=listed, check=True)
    assert set(read_checksums(file.path.parent)) == {"facts.json"}
    assert file.json(NUMBERS) == {"cases": 3}


def test_another_number(file: OwnFile) -> None:
    write_checksums(file.path.parent, ["facts.json"])
    file.path.write_text('{"cases": 2}\n')
    with pytest.raises(DataError, match="checksum is not that in SHA256SUMS"):
        file.json(NUMBERS)


def test_lost_file_exists_for_the_list(file: OwnFile) -> None:
    write_checksums(file.path.parent, ["facts.json"])
    file.path.unlink()
    assert file.exists()
    with pytest.raises(DataError, match="No such file"):
        file.json(NUMBERS)


@pytest.mark.parametrize("text", ["no checksum\n", f"{'0' * 64}  ../facts.json\n", "0" * 64])
def test_damaged_list(file: OwnFile, text: str) -> None:
    (file.path.parent / CHECKSUMS).write_text(text)
    with pytest.raises(DataError, match=f"{CHECKSUMS}:1"):
        file.json(NUMBERS)


def test_pipe_is_not_waited_for(file: OwnFile) -> None:
    file.path.unlink()
    os.mkfifo(file.path)
    with pytest.raises(DataError, match="no regular file"):
        file.text()


def test_wrong_type_is_named_with_its_key(file: OwnFile) -> None:
    file.path.write_text('{"cases": "three"}')
    with pytest.raises(DataError, match="cases: 'three' instead of a whole number"):
        file.json(NUMBERS)
