"""Names and colours beside a mask: what each line says, as 3D Slicer splits it."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicewise.config import StructureSection
from slicewise.errors import LabelError, OutputError
from slicewise.imaging.label_table import read_colour_table, write_colour_table
from slicewise.imaging.structures import Structure, structures_of


def test_every_line(tmp_path: Path) -> None:
    structures = structures_of(
        {"posterior": 12, "anterior": 5}, {"anterior": StructureSection(colour="#0A141e")}
    )
    write_colour_table(structures, tmp_path / "out" / "mask.ctbl")
    assert (tmp_path / "out" / "mask.ctbl").read_text() == (
        "# Color table file\n"
        "# 3 values\n"
        "0 Background 0 0 0 0\n"
        "5 anterior 10 20 30 255\n"
        "12 posterior 230 159 0 255\n"  # #E69F00, the first of the palette
    )


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("left lobe", "left_lobe"),
        ("  left \t lobe\nupper ", "left_lobe_upper"),
        ("zone 'a'", "zone_a_"),
        ("Läsion", "Läsion"),
        ("# 7", "#_7"),
    ],
)
def test_names_are_one_word(tmp_path: Path, name: str, word: str) -> None:
    write_colour_table([Structure(name, 7, "#010203")], tmp_path / "mask.ctbl")
    lines = (tmp_path / "mask.ctbl").read_text(encoding="utf-8").splitlines()
    assert lines[3:] == [f"7 {word} 1 2 3 255"]
    assert len(lines[3].split()) == 6


def test_no_structures_leave_background(tmp_path: Path) -> None:
    write_colour_table([], tmp_path / "mask.ctbl")
    assert (tmp_path / "mask.ctbl").read_text().endswith("# 1 values\n0 Background 0 0 0 0\n")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        write_colour_table([], tmp_path / "file" / "mask.ctbl")


def test_a_written_table_is_read_back(tmp_path: Path) -> None:
    structures = (
        Structure("anterior", 5, "#0a141e"),
        Structure("Läsion", 12, "#e69f00"),
        Structure("#_7", 300, "#ffffff"),
    )
    write_colour_table(structures, tmp_path / "mask.ctbl")
    assert read_colour_table(tmp_path / "mask.ctbl") == structures


def test_a_table_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "GenericColors.ctbl"
    path.write_bytes(
        b"\xef\xbb\xbf# Color table file GenericColors.txt\r\n\r\n"
        b"0 background 0 0 0 0\r\n  4\tbone   241 214 145 255\r\n2 tissue 128 174 128\r\n"
    )
    assert read_colour_table(path) == (
        Structure("bone", 4, "#f1d691"),
        Structure("tissue", 2, "#80ae80"),
    )


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("3 core 1 2", "line 2"),
        ("core 3 1 2 3 255", "line 2"),
        ("3 core 1 2 256 255", "line 2"),
        ("3 core 1 2 3 255\n3 rim 1 2 3 255", "line 3"),
        ("3 left core 1 2 3 255", "line 2"),
    ],
)
def test_a_spoilt_table_names_the_line(tmp_path: Path, line: str, where: str) -> None:
    (tmp_path / "mask.ctbl").write_text(f"# table\n{line}\n")
    with pytest.raises(LabelError, match=f"mask.ctbl: {where}"):
        read_colour_table(tmp_path / "mask.ctbl")


def test_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="No such file"):
        read_colour_table(tmp_path / "none.ctbl")
    (tmp_path / "binary.ctbl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabelError, match="not UTF-8"):
        read_colour_table(tmp_path / "binary.ctbl")
