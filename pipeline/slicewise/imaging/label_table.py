"""Colour tables: the names and colours of the labels of a NIfTI mask.

A ``.ctbl`` file next to the mask, which 3D Slicer loads as a colour table, or with the mask as a
segmentation. The header extension of NIfTI for labels is read by Connectome Workbench only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from slicewise.errors import LabelError, file_problem
from slicewise.imaging.files import write_text
from slicewise.imaging.nifti.reading import is_nifti, stem
from slicewise.imaging.structures import Structure

FOLDER_TABLE = "labels.ctbl"
"""What the values of all masks of a folder mean."""
_BRIGHTEST = 255


def write_colour_table(structures: Sequence[Structure], path: Path) -> None:
    """Write one line per structure: value, name, red, green, blue, opacity (0 to 255).

    Spaces in names become underscores, because spaces separate the columns; 3D Slicer shows them
    as spaces. The first line is the transparent background.

    Args:
        structures: in any order.
        path: ends in ``.ctbl``.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = ["# Color table file", f"# {len(structures) + 1} values", "0 Background 0 0 0 0"]
    for structure in sorted(structures, key=lambda structure: structure.value):
        red, green, blue = structure.rgb
        lines.append(f"{structure.value} {_one_word(structure.name)} {red} {green} {blue} 255")
    write_text(path, "\n".join(lines) + "\n")


def read_colour_table(path: Path) -> tuple[Structure, ...]:
    """Read the structures of a colour table, without the background.

    Underscores in names are kept.

    Raises:
        LabelError: a line without value, name and colour, or a value that occurs twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise _unreadable(path, file_problem(error)) from None
    except UnicodeDecodeError:
        raise _unreadable(path, "bytes that are not UTF-8 text") from None
    structures = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        structure = _structure_of(line)
        if structure is None or structure.value in structures:
            raise _unreadable(f"{path}: line {number}", line.strip())
        structures[structure.value] = structure
    return tuple(structure for value, structure in structures.items() if value != 0)


def structures_next_to(mask: Path) -> tuple[Structure, ...]:
    """The structures of the colour table next to a mask, or of that of its folder; none without.

    Raises:
        LabelError: a file that is no colour table.
    """
    bare = stem(mask) if is_nifti(mask) else mask.stem
    for table in (mask.with_name(f"{bare}.ctbl"), mask.with_name(FOLDER_TABLE)):
        if table.is_file():
            return read_colour_table(table)
    return ()


def _structure_of(line: str) -> Structure | None:
    found = re.fullmatch(r"\s*(\d+)\s+(\S+)((?:\s+\d+){3,4})\s*", line)
    if found is None:
        return None
    colour = [int(text) for text in found[3].split()[:3]]
    if max(colour) > _BRIGHTEST:
        return None
    return Structure(found[2], int(found[1]), f"#{bytes(colour).hex()}")


def _unreadable(where: Path | str, found: str) -> LabelError:
    return LabelError(
        where,
        expected="one line per value: value, name, red, green, blue, opacity",
        found=found,
        remedy="correct or remove the colour table",
    )


def _one_word(name: str) -> str:
    # 3D Slicer reads apostrophes as quotation marks.
    return re.sub(r"[\s\x00-\x1f\x7f']+", "_", name.strip())
