"""Which files below a folder are looked at."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import DataElement, Dataset, config, dcmwrite
from pydicom.dataset import FileDataset
from pydicom.uid import MediaStorageDirectoryStorage
from tests.ordinary_user import ordinary_user

from slicewise.errors import ScanError
from slicewise.imaging.walk import FileState, SpecialFile, entries, not_read, unusable_name, walk

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]


def found(root: Path) -> tuple[list[str], list[str]]:
    """Names of files and of problems, relative to the root."""
    items = list(walk(root))
    files = [item.path for item in items if isinstance(item, FileState)]
    problems = [Path(item.where) for item in items if isinstance(item, ScanError)]
    # Every file once, whatever links lead to it.
    assert len({path.resolve() for path in files}) == len(files)
    return tuple(
        sorted(os.path.relpath(path, root) for path in paths)  # type: ignore[return-value]
        for paths in (files, problems)
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a/one", "a/two.dcm", "b/c/three.IMA", "four"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "tree"


ALL = ["a/one", "a/two.dcm", "b/c/three.IMA", "four"]


def test_every_file_below_a_folder(tree: Path) -> None:
    assert found(tree) == (ALL, [])
    states = {item.path.name: item for item in walk(tree) if isinstance(item, FileState)}
    assert states["one"].size == 5
    assert states["one"].modified_ns == (tree / "a" / "one").stat().st_mtime_ns


def test_a_single_file(tree: Path) -> None:
    assert [item.path for item in walk(tree / "four") if isinstance(item, FileState)] == [
        tree / "four"
    ]


def test_hidden_files_and_leftovers_are_skipped(tree: Path) -> None:
    leftovers = (".hidden", ".git/x", "a/.x.dcm", "._four", ".DS_Store", "Thumbs.db", "desktop.ini")
    for name in (*leftovers, "__MACOSX/._four", "__MACOSX/four"):
        path = tree / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    assert found(tree) == (ALL, [])
    assert [path.name for path in entries(tree)] == ["a", "b", "four"]


def test_entries_are_followed_links_and_errors(tree: Path) -> None:
    (tree / "broken").symlink_to(tree / "nowhere")
    (tree / "link").symlink_to(tree / "a")
    folders = [item.name for item in entries(tree) if isinstance(item, Path)]
    assert folders == ["a", "b", "four", "link"]
    (error,) = (item for item in entries(tree) if isinstance(item, ScanError))
    assert error.where == str(tree / "broken")
    (absent,) = entries(tree / "absent")
    assert isinstance(absent, ScanError)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a.seg.nrrd", "B.SEG.NRRD", "c"], "2 files .seg.nrrd and 1 file of unknown suffix"),
        (["a.mha", "b.mgz", "b.mgz"], "2 files .mgz and 1 file .mha"),
        (["1.2.840.10008", "IM0001"], "2 files of unknown suffix"),
        (["a.hdr", "a.img", "IMG.Doe"], "1 file .hdr, 1 file .img and 1 file of unknown suffix"),
        (["README", "a.json", "LICENSE", "participants.tsv", "a.ctbl"], ""),
        (["report.docx", "list.XLSX", "b.pdf"], "1 file .docx, 1 file .pdf and 1 file .xlsx"),
        ([], ""),
    ],
)
def test_files_that_are_not_read_are_counted(names: list[str], text: str) -> None:
    assert not_read(Path(name) for name in names) == text


@pytest.mark.fault(127, "Q")
def test_a_name_of_another_encoding_is_refused_and_can_be_printed(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller/a.nii"))
    error = unusable_name(path)
    assert error is not None
    assert "M\\xfcller" in str(error)
    assert "convmv" in error.remedy
    str(error).encode()
    assert unusable_name(path, below=path.parent) is None
    assert unusable_name(tmp_path / "Müller") is None


@pytest.mark.parametrize("name", ["a\nb.nii", "\x1b[31ma.nii", "a\u2028b.nii"])
def test_a_case_name_that_would_break_lines_is_refused(name: str, tmp_path: Path) -> None:
    error = unusable_name(tmp_path / name, below=tmp_path)
    assert error is not None
    assert error.remedy == "rename it"
    # A case has no name of the folders above the data set.
    assert unusable_name(tmp_path / name / "a.nii", below=tmp_path / name) is None
    assert unusable_name(tmp_path / name) is None


@pytest.mark.fault(67, "Q")
def test_broken_links_are_named(tree: Path) -> None:
    (tree / "broken").symlink_to(tree / "nowhere")
    (tree / "itself").symlink_to(tree / "itself")
    assert found(tree) == (ALL, ["broken", "itself"])


@pytest.mark.fault(67, "Q")
def test_link_to_an_impossible_name(tree: Path) -> None:
    (tree / "endless").symlink_to("x" * 300)
    assert found(tree) == (ALL, ["endless"])


@pytest.mark.fault(67, "OK")
def test_link_loops_end(tree: Path) -> None:
    (tree / "a" / "up").symlink_to(tree)
    (tree / "b" / "c" / "up").symlink_to("..")
    (tree / "here").symlink_to(".")
    assert found(tree) == (ALL, [])


def test_a_folder_is_found_by_its_own_name(tree: Path) -> None:
    (tree / "A-first").symlink_to(tree / "b")
    assert found(tree) == (ALL, [])


def test_links_to_other_places_are_followed(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "five").write_bytes(b"5")
    (tree / "a" / "link").symlink_to(tmp_path / "elsewhere")
    (tree / "z").symlink_to(tmp_path / "elsewhere" / "deep")
    files, problems = found(tree)
    assert not problems
    assert len(files) == 5
    assert set(files) - set(ALL) <= {"a/link/deep/five", "z/five"}


@pytest.mark.fault(67, "OK")
def test_pipes_and_devices_are_not_opened_but_counted(tree: Path) -> None:
    os.mkfifo(tree / "pipe.dcm")
    (tree / "device.dcm").symlink_to("/dev/zero")
    assert found(tree) == (ALL, [])
    for special in (walk(tree), entries(tree)):
        pipes = [item for item in special if isinstance(item, SpecialFile)]
        assert not_read(pipes) == "2 special files (pipes or devices)"


@pytest.mark.fault(87, "OK")
@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir", "DicomDir"])
def test_index_of_a_disc_is_ignored_even_if_it_points_outside(
    name: str,
    phantom: Any,
    write_dicom: Write,
    only: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = tmp_path / "secret.dcm"
    dcmwrite(secret, phantom.datasets(SeriesNumber=99)[0], enforce_file_format=True)
    folder = write_dicom(phantom.datasets())
    directory = phantom.datasets()[0]
    directory.SOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    record = Dataset()
    record.DirectoryRecordType = "IMAGE"
    record.add(
        DataElement("ReferencedFileID", "CS", ["..", "secret.dcm"], validation_mode=config.IGNORE)
    )
    directory.DirectoryRecordSequence = [record]
    monkeypatch.setattr(config.settings, "writing_validation_mode", config.IGNORE)
    dcmwrite(folder / name, directory, enforce_file_format=True)
    series = only(folder)
    assert series.name == "s012_axial_11x7x5"
    assert {path.parent for path in series.files} == {folder}


@pytest.mark.fault(67, "Q")
@pytest.mark.parametrize("mode", [0o000, 0o100, 0o400], ids=["closed", "search", "list"])
def test_folder_without_permission(mode: int) -> None:
    with ordinary_user() as folder:
        (folder / "closed").mkdir()
        (folder / "closed" / "x.dcm").write_bytes(b"x")
        (folder / "open").write_bytes(b"x")
        (folder / "closed").chmod(mode)
        files, problems = found(folder)
    assert files == ["open"]
    assert len(problems) == 1
    assert problems[0].startswith("closed")


@pytest.mark.fault(67, "Q")
def test_root_in_a_folder_without_permission() -> None:
    with ordinary_user() as folder:
        (folder / "closed" / "root").mkdir(parents=True)
        (folder / "closed").chmod(0o000)
        (problem,) = walk(folder / "closed" / "root")
    assert isinstance(problem, ScanError)
    assert "Permission denied" in problem.found


def test_an_absent_folder_is_an_error(tmp_path: Path, find: Call) -> None:
    with pytest.raises(ScanError, match="No such file"):
        find(tmp_path / "absent")


def test_an_empty_folder_holds_nothing(tmp_path: Path, find: Call) -> None:
    scan = find(tmp_path)
    assert (scan.series, scan.set_aside, scan.labels) == ((), (), ())
