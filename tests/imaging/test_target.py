"""No file of others is replaced; a mark says who wrote what."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ordinary_user import ordinary_user

from slicewise.errors import OutputError, UsageError
from slicewise.imaging.files import atomic_file, write_text
from slicewise.imaging.mark import MARK, Writer, read_mark, record_of
from slicewise.imaging.target import Target

PREDICT = Writer("predict", "head 1a2b")


def written(path: Path, text: str = "mask", writer: Writer = PREDICT) -> Path:
    """A file that a command wrote."""
    target = Target(writer)
    target.claim([path])
    with target.writing(path.parent):
        write_text(path, text)
    return path


@pytest.mark.fault(97, "E")
def test_a_file_of_others_is_replaced_only_when_that_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "labels" / "S01.nii.gz"
    write_text(path, "by hand")
    with pytest.raises(OutputError, match=r"S01\.nii\.gz") as caught:
        Target(PREDICT).claim([path])
    assert caught.value.where == f"`out` {path.parent}"
    assert "`overwrite`" in caught.value.remedy
    Target(PREDICT, overwrite=True).claim([path])
    assert path.read_text() == "by hand"


def test_a_file_of_the_same_purpose_is_replaced(tmp_path: Path) -> None:
    path = written(tmp_path / "deep" / "S01.nii.gz")
    assert record_of(path) == read_mark(path.parent)[path.name][0]
    assert written(path, "again").read_text() == "again"
    assert [record.made_by for record in read_mark(path.parent)[path.name]] == ["head 1a2b"] * 2


@pytest.mark.fault(97, "E")
def test_a_mask_that_was_corrected_by_hand_is_a_file_of_others(tmp_path: Path) -> None:
    path = written(tmp_path / "S01.nii.gz")
    path.write_text("corrected")
    assert record_of(path) is None
    with pytest.raises(OutputError, match="nobody has changed since"):
        Target(PREDICT).claim([path])


@pytest.mark.fault(97, "E")
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    with ordinary_user() as folder:
        (folder / "closed").mkdir(mode=0o555)
        target = Target(Writer("predict"))
        for path in (folder / "closed" / "a.nii.gz", folder / "closed" / "deep" / "a.nii.gz"):
            with pytest.raises(OutputError, match="that this user can write to") as caught:
                target.claim([path], "html")
            assert caught.value.where == f"`html` {folder / 'closed'}"
            with pytest.raises(OutputError, match="that this user can write to"):
                target.claim_entries(path.parent, ["last.pt"])
        target.claim([folder / "open" / "a.nii.gz"])
    target.claim([tmp_path / "a.nii.gz"])


def test_another_purpose_and_another_model(tmp_path: Path) -> None:
    path = written(tmp_path / "S01.nii.gz")
    with pytest.raises(OutputError, match="slicewise evaluate"):
        Target(Writer("evaluate")).claim([path])
    with pytest.raises(OutputError, match="of head 1a2b"):
        Target(Writer("predict", "head 3c4d")).claim([path])
    Target(Writer("predict", "head 3c4d"), overwrite=True).claim([path])


@pytest.mark.fault(97, "E")
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_input_is_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    scan = tmp_path / "data" / "images" / "S01.nii.gz"
    write_text(scan, "scan")
    write_text(tmp_path / "data" / "labels" / "S01.nii.gz", "label")
    (tmp_path / "link").symlink_to(scan.parent)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "S01.nii.gz").symlink_to(scan)
    (tmp_path / "out" / "hard.nii.gz").hardlink_to(scan)
    inputs = [scan, tmp_path / "data"]
    for path in (
        scan,
        tmp_path / "data" / "labels" / ".." / "images" / "S01.nii.gz",
        tmp_path / "link" / "S01.nii.gz",
        tmp_path / "out" / "S01.nii.gz",
        tmp_path / "out" / "hard.nii.gz",
        tmp_path / "data" / "Images" / "s01.NII.gz",
        tmp_path / "data" / "labels" / "S01.nii.gz",
    ):
        with pytest.raises(UsageError, match="inputs are never replaced"):
            Target(PREDICT, overwrite=overwrite, inputs=inputs).claim([path])
    assert scan.read_text() == "scan"
    Target(PREDICT, inputs=inputs).claim([tmp_path / "data" / "masks" / "S01.nii.gz"])


@pytest.mark.fault(97, "E")
def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write_text(tmp_path / "file", "")
    target = Target(PREDICT, overwrite=True)
    with pytest.raises(OutputError, match="a folder called folder"):
        target.claim([tmp_path / "folder"], "html")
    with pytest.raises(OutputError, match="which is a file"):
        target.claim([tmp_path / "file" / "deep" / "S01.nii.gz"])


@pytest.mark.fault(97, "E")
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_folder_of_a_run_holds_no_input(tmp_path: Path, overwrite: bool) -> None:
    label = tmp_path / "masks" / "S01.nii.gz"
    write_text(label, "label")
    target = Target(Writer("train"), overwrite=overwrite, inputs=[label])
    with pytest.raises(UsageError, match="masks, which holds an input"):
        target.claim_entries(tmp_path, ["last.pt", "masks"])
    assert not (tmp_path / MARK).exists()


@pytest.mark.fault(97, "E")
def test_entries_of_a_run_are_replaced_by_their_own_command_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "masks" / "a.nii.gz", "of somebody")
    with pytest.raises(OutputError, match="slicewise train"):
        Target(Writer("train")).claim_entries(tmp_path, ["masks"])
    (tmp_path / "masks" / "a.nii.gz").unlink()
    (tmp_path / "masks").rmdir()
    target = Target(Writer("train"))
    target.claim_entries(tmp_path, ["masks"])
    with target.writing(tmp_path):
        write_text(tmp_path / "masks" / "a.nii.gz", "held out")
    Target(Writer("train")).claim_entries(tmp_path, ["masks"])
    with pytest.raises(OutputError, match="slicewise baseline"):
        Target(Writer("baseline")).claim_entries(tmp_path, ["masks"])


@pytest.mark.fault(70, "OK")
@pytest.mark.fault(72, "OK")
def test_a_kill_at_the_rename_leaves_the_old_file_or_the_new_and_both_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "S01.nii.gz", "old")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            written(path, "new")
    assert path.read_text() == "old"
    assert record_of(path) is not None
    assert written(path, "new").read_text() == "new"


def test_half_a_line_of_a_mark_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "S01.nii.gz")
    with (tmp_path / MARK).open("a") as mark:
        mark.write('{"file": "S01.nii')
    assert record_of(path) is not None
    assert record_of(written(tmp_path / "S02.nii.gz")) is not None
    (tmp_path / MARK).write_text('[]\n{"file": "S02.nii.gz", "other": 1}\n')
    assert record_of(path) is None


@pytest.mark.fault(120, "OK")
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        "from slicewise.imaging.files import atomic_file, part_folder\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with atomic_file(folder / 'a.nii.gz') as one, part_folder(folder) as two:\n"
        "    (two / 'deep').write_text('half')\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / ".mine.1.part.txt").write_text("of a person")
    with atomic_file(tmp_path / "b.txt") as mine:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            [".mine.1.part.txt", mine.name]
        )
        assert f".{os.getpid()}." in mine.name
