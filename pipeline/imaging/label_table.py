"""Structures in, a table of their names and colours beside the mask out.

A NIfTI file holds numbers; what they mean lies in a ``.ctbl`` file beside it, which 3D Slicer
loads as a colour table, or with the mask as a segmentation. It is not put into the mask as well:
the one header extension for it is read by Connectome Workbench alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.imaging.files import write_text
from pipeline.imaging.structures import Structure


def write_colour_table(structures: Sequence[Structure], path: Path) -> None:
    """Write one line a structure: value, name, red, green, blue, opacity; 0 to 255.

    Names are one word each, because spaces separate the columns; 3D Slicer shows underscores as
    spaces. Background comes first, transparent.

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


def _one_word(name: str) -> str:
    # Apostrophes are taken for quotation marks by 3D Slicer.
    return re.sub(r"[\s\x00-\x1f\x7f']+", "_", name.strip())
