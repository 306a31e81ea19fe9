"""The door for names from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicewise.errors import DataError, ScanError
from slicewise.file_names import file_name, nearest_path, require_short_name


@pytest.mark.fault(98, "E")
@pytest.mark.fault(86, "OK")
@pytest.mark.parametrize(
    "name",
    [
        *("", " ", ".", "..", ".hidden", "../labels/S01", "/tmp/S01", "a/b", "a\\b"),
        *("a\0b", "a\nb", "a\rb", "a\x1b[31mb", "a\u2028b", "a\u202eb", "\ud800"),
        *(" a", "a ", "a.", "C:a", "a*", "a?", 'a"b', "a|b", "a<b"),
        *("x" * 300, "x" * 235, "ä" * 120),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(DataError) as caught:
        file_name(name, "list.csv:2, column case")
    assert caught.value.where == "list.csv:2, column case"
    assert "\0" not in str(caught.value)
    assert "\n" not in caught.value.found


@pytest.mark.parametrize(
    "name", ["S01", "sub 01", "Müller-2", "a'b", "a;b&c#d", "50%20", "x" * 234, "a.b", "~", "-rf"]
)
def test_an_ordinary_name_stays_as_it_is(name: str) -> None:
    assert file_name(name, "list.csv:2") == name


def test_a_name_that_is_too_long_with_its_ending_is_told_before_work() -> None:
    require_short_name(Path("x" * 248 + ".nii.gz"))
    with pytest.raises(ScanError, match="256 bytes"):
        require_short_name(Path("x" * 249 + ".nii.gz"))


def test_the_path_that_was_meant_is_named(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "masks").mkdir()
    assert nearest_path(tmp_path / "scnas") == f"did you mean {tmp_path / 'scans'}?"
    assert nearest_path(tmp_path / "scans") == ""
    assert nearest_path(tmp_path / "labels") == ""
    assert nearest_path(tmp_path / "nowhere" / "scans") == ""
    assert nearest_path(Path("x" * 5000)) == ""
