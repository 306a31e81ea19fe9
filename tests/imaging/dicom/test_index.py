"""The index of headers: unchanged files are not parsed again, changed ones are."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import FileDataset
from tests.linear_time import linear_time

from slicewise.errors import OutputError
from slicewise.imaging.dicom import index as index_module
from slicewise.imaging.dicom.index import HeaderIndex
from slicewise.imaging.dicom.scanner import DicomScanner, SeriesScan
from slicewise.imaging.dicom.slice_header import FileContents
from slicewise.imaging.sandbox import ChildDiedError, Sandbox
from slicewise.imaging.walk import FileState, walk

Write = Callable[[list[FileDataset]], Path]


class CountingSandbox(Sandbox):
    """Works in this process and remembers which headers it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.parsed: list[Path] = []

    def call(self, function: Any, *arguments: Any, **_: Any) -> Any:
        if function.__name__ == "scan_headers":
            self.parsed += arguments[0]
        return function(*arguments)


@pytest.fixture
def counting() -> CountingSandbox:
    return CountingSandbox()


@pytest.fixture
def search(tmp_path: Path, counting: CountingSandbox) -> Callable[[Path], SeriesScan]:
    """Search with an index; ``counting.parsed`` holds what this search parsed, and no more."""

    def search(folder: Path) -> SeriesScan:
        counting.parsed.clear()
        return DicomScanner(index=tmp_path / "work" / "index.sqlite", sandbox=counting).find(folder)

    return search


Search = Callable[[Path], SeriesScan]


def facts(scan: SeriesScan) -> list[Any]:
    series = [asdict(one) | {"affine": one.affine.tolist()} for one in scan.series]
    return [series, [str(error) for error in scan.set_aside], scan.labels]


def test_unchanged_files_are_not_parsed_again(
    phantom: Any, write_dicom: Write, search: Search, counting: CountingSandbox
) -> None:
    folder = write_dicom(phantom.datasets())
    (folder / "garbage.dcm").write_bytes(b"garbage")
    (folder / "readme").write_bytes(b"no DICOM at all")
    first = search(folder)
    assert len(counting.parsed) == 7
    second = search(folder)
    assert counting.parsed == []
    assert facts(second) == facts(first)
    assert [error.where for error in second.set_aside] == [str(folder / "garbage.dcm")]


@pytest.mark.parametrize("change", ["size", "time"])
def test_changed_files_are_parsed_again(
    change: str, phantom: Any, write_dicom: Write, search: Search, counting: CountingSandbox
) -> None:
    folder = write_dicom(phantom.datasets())
    changed = search(folder).series[0].files[3]
    before = changed.stat()
    content = changed.read_bytes().replace(b"MONOCHROME2", b"MONOCHROME1")
    changed.write_bytes(content + b"\0\0" if change == "size" else content)
    later_ns = before.st_mtime_ns + (1 if change == "time" else 0)
    os.utime(changed, ns=(before.st_atime_ns, later_ns))
    scan = search(folder)
    assert counting.parsed == [changed]
    assert any("MONOCHROME1" in text for text in scan.series[0].warnings)


def test_new_files_are_parsed(
    phantom: Any, write_dicom: Write, search: Search, counting: CountingSandbox
) -> None:
    datasets = phantom.datasets()
    folder = write_dicom(datasets[:4])
    assert search(folder).series[0].shape == (11, 7, 4)
    write_dicom(datasets[4:])
    assert search(folder).series[0].shape == (11, 7, 5)
    assert len(counting.parsed) == 1


def test_removed_files_vanish(
    phantom: Any, write_dicom: Write, search: Search, counting: CountingSandbox
) -> None:
    folder = write_dicom(phantom.datasets())
    search(folder).series[0].files[4].unlink()
    assert search(folder).series[0].shape == (11, 7, 4)
    assert counting.parsed == []


def test_two_folders_share_an_index(
    phantom: Any, write_dicom: Write, search: Search, counting: CountingSandbox, tmp_path: Path
) -> None:
    folder = write_dicom(phantom.datasets())
    search(folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "slice").write_bytes(next(folder.iterdir()).read_bytes())
    assert [one.shape for one in search(other).series] == [(11, 7, 1)]
    assert counting.parsed == [other / "slice"]
    assert [one.shape for one in search(folder).series] == [(11, 7, 5)]
    assert counting.parsed == []


def test_an_index_is_for_its_owner_only(
    phantom: Any, write_dicom: Write, search: Search, tmp_path: Path
) -> None:
    mask = os.umask(0)
    try:
        search(write_dicom(phantom.datasets()))
    finally:
        os.umask(mask)
    files = list((tmp_path / "work").iterdir())
    assert [file.name for file in files] == ["index.sqlite"]
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


@pytest.mark.fault(68, "OK")
@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe.dcm", b"M\xc3\xbcller \xe2\x80\x94 1", b"new\nline", b"'; DROP TABLE files;--",
     b"%s", b"x" * 255],
)  # fmt: skip
def test_odd_file_names(
    name: bytes, phantom: Any, write_dicom: Write, search: Search, counting: CountingSandbox
) -> None:
    folder = write_dicom(phantom.datasets())
    files = sorted(folder.iterdir())
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
    files[2].rename(odd)
    for expected in ([odd, *files[:2], *files[3:]], []):
        series = search(folder).series[0]
        assert set(counting.parsed) == set(expected)
        assert odd in series.files
        assert all(path.exists() for path in series.files)


def test_an_index_that_others_may_read_is_closed(
    phantom: Any, write_dicom: Write, search: Search, tmp_path: Path
) -> None:
    path = tmp_path / "work" / "index.sqlite"
    path.parent.mkdir()
    path.touch(0o644)
    path.chmod(0o644)
    search(write_dicom(phantom.datasets()))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_version_empties_the_index(
    phantom: Any,
    write_dicom: Write,
    search: Search,
    counting: CountingSandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = write_dicom(phantom.datasets())
    search(folder)
    monkeypatch.setattr(index_module, "VERSION", index_module.VERSION + 1)
    search(folder)
    assert len(counting.parsed) == 5
    search(folder)
    assert counting.parsed == []


def overwritten(path: Path) -> None:
    path.write_bytes(b"no database" * 500)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def damaged_pages(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def damaged_row(path: Path) -> None:
    store = sqlite3.connect(path)
    store.execute("UPDATE files SET content = '[1'")
    store.commit()
    store.close()


@pytest.mark.parametrize("damage", [overwritten, a_folder, cut_short, damaged_pages, damaged_row])
def test_damaged_index_is_a_named_error(
    damage: Callable[[Path], None], phantom: Any, write_dicom: Write, search: Search, tmp_path: Path
) -> None:
    folder = write_dicom(phantom.datasets())
    search(folder)
    path = tmp_path / "work" / "index.sqlite"
    damage(path)
    with pytest.raises(OutputError) as caught:
        search(folder)
    assert caught.value.where == str(path)
    assert "delete the file" in caught.value.remedy


def test_interrupted_search_keeps_what_it_had(
    phantom: Any, write_dicom: Write, search: Search, tmp_path: Path, counting: CountingSandbox
) -> None:
    folder = write_dicom(phantom.datasets())
    copies = tmp_path / "many"
    copies.mkdir()
    content = next(folder.iterdir()).read_bytes()
    for number in range(100):
        (copies / f"{number:03d}").write_bytes(content)

    class Interrupted(CountingSandbox):
        def call(self, function: Any, *arguments: Any, **_: Any) -> Any:
            if len(self.parsed) >= 64:
                raise KeyboardInterrupt
            return super().call(function, *arguments)

    with pytest.raises(KeyboardInterrupt):
        DicomScanner(index=tmp_path / "work" / "index.sqlite", sandbox=Interrupted()).find(copies)
    search(copies)
    assert len(counting.parsed) == 36


def test_a_file_that_could_not_be_read_once_is_tried_again(
    phantom: Any, write_dicom: Write, search: Search, tmp_path: Path
) -> None:
    folder = write_dicom(phantom.datasets())

    class Busy(Sandbox):
        """Its computer is so busy that nothing ends in time."""

        def call(self, *_: Any, where: Any, **__: Any) -> Any:
            raise ChildDiedError(where, expected="an end", found="none after 10 s", remedy="wait")

    scan = DicomScanner(index=tmp_path / "work" / "index.sqlite", sandbox=Busy()).find(folder)
    assert len(scan.set_aside) == 5
    assert not search(folder).set_aside


def test_another_process_may_write_while_series_are_made(
    phantom: Any, write_dicom: Write, tmp_path: Path, search: Search
) -> None:
    folder, path = write_dicom(phantom.datasets()), tmp_path / "work" / "index.sqlite"
    search(folder)
    with HeaderIndex(path) as reader, HeaderIndex(path) as writer:
        files = [item for item in walk(folder) if isinstance(item, FileState)]
        reader.outdated(folder, files)
        with closing(reader.by_series()) as series:
            next(series)
            writer.outdated(folder, files)
            writer.store([(files[0], FileContents())])
    # What the writer wrote is there: a slice is gone.
    assert [one.shape for one in search(folder).series] != [(11, 7, 5)]


def test_a_search_forgets_lost_files_of_its_folder_alone(
    phantom: Any, write_dicom: Write, tmp_path: Path, search: Search, counting: CountingSandbox
) -> None:
    """Names that sort right before, within and right after those below ``tree/b/``."""
    source = sorted(write_dicom(phantom.datasets()).iterdir())[0]
    names = ["a/1", "b!/1", "b-2/1", "b/1", "b/2", "b0/1", "ba/1", "c/1"]
    for name in names:
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
    search(tmp_path / "tree")
    (tmp_path / "tree" / "b" / "2").rename(tmp_path / "2")
    search(tmp_path / "tree" / "b")
    (tmp_path / "2").rename(tmp_path / "tree" / "b" / "2")
    search(tmp_path / "tree")
    assert counting.parsed == [tmp_path / "tree" / "b" / "2"]


def test_a_folder_is_looked_up_in_an_index_of_many(tmp_path: Path) -> None:
    """A manifest of folders looks up each of them, so none may go through all that is known."""
    with HeaderIndex(tmp_path / "index.sqlite") as index:
        many = [FileState(tmp_path / f"{number:05d}" / "1", 1, 1) for number in range(20_000)]
        index.store((file, FileContents()) for file in many)
    with linear_time():
        for file in many[:300]:
            with HeaderIndex(tmp_path / "index.sqlite") as index:
                assert index.outdated(file.path.parent, [file]) == 0


def test_files_that_have_changed_come_some_at_a_time(tmp_path: Path) -> None:
    files = [FileState(tmp_path / f"{number:02d}", 1, 1) for number in range(10)]
    with HeaderIndex(None) as index:
        assert index.outdated(tmp_path, files) == 10
        parts = []
        for part in index.outdated_files(4):
            # The index may be written meanwhile.
            index.store((file, FileContents()) for file in part)
            parts.append(part)
        assert [len(part) for part in parts] == [4, 4, 2]
        assert [file for part in parts for file in part] == files
        assert index.outdated(tmp_path, files) == 0
        assert list(index.outdated_files(4)) == []
