"""Tables of users are read as spreadsheets save them, and nothing in them is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicewise.errors import DataError
from slicewise.imaging.tables import read_table

KNOWN = ("image", "label", "patient")
TEXT = "image,label\na ä.nii.gz,b.nii.gz\nc.nii.gz,\n"
CELLS = [{"image": "a ä.nii.gz", "label": "b.nii.gz"}, {"image": "c.nii.gz", "label": ""}]


def table(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.fault(132, "OK")
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_encodings_and_line_ends(
    tmp_path: Path, separator: str, encoding: str, end: str
) -> None:
    content = TEXT.replace(",", separator).replace("\n", end).encode(encoding)
    found = read_table(table(tmp_path, content), KNOWN)
    assert found.columns == ("image", "label")
    assert [row.cells for row in found.rows] == CELLS
    assert [row.line for row in found.rows] == [2, 3]


@pytest.mark.fault(132, "OK")
@pytest.mark.parametrize(
    "text",
    [
        'sep=;\nimage;label\n"a,1.nii.gz";b.nii.gz\n',
        ' Image , LABEL\n"a,1.nii.gz", b.nii.gz \n\n,\n',
        '"image";"label"\n"a,1.nii.gz";"b.nii.gz"\n;\n',
    ],
)
def test_habits_of_spreadsheets(tmp_path: Path, text: str) -> None:
    found = read_table(table(tmp_path, text), KNOWN)
    assert [row.cells for row in found.rows] == [{"image": "a,1.nii.gz", "label": "b.nii.gz"}]


@pytest.mark.fault(132, "E")
@pytest.mark.parametrize(
    ("content", "where", "found"),
    [
        (b"image,label\na\xe4.nii.gz,b\n", ": line 2", "another encoding"),
        ("image,label\na,b,c\n", ": line 2", "3 cells: a, b, c"),
        ("image,label\na\n", ": line 2", "1 cell: a"),
        ('image,label\n"a,b\nc,d\n', ": line 3", "cannot be read"),
        ("image,label,image\na,b,c\n", "", "the column image twice"),
        (b"PK\3\4\0\0image\0", "", "a spreadsheet"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str | bytes, where: str, found: str) -> None:
    path = table(tmp_path, content)
    with pytest.raises(DataError, match=found) as caught:
        read_table(path, KNOWN)
    assert caught.value.where == f"{path}{where}"


def test_a_wrong_number_of_cells_names_the_separator(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a semicolon between them"):
        read_table(table(tmp_path, "image;label\na;b;c\n"), KNOWN)


def test_an_empty_file_has_no_columns(tmp_path: Path) -> None:
    assert read_table(table(tmp_path, ""), KNOWN).columns == ()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_table(tmp_path / "gone.csv", KNOWN)
