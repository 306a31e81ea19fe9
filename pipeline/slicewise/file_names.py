"""The door for names from outside: text that is to become the name of a file or folder."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from slicewise.errors import DataError, ScanError, SlicewiseError, Where
from slicewise.quantities import counted

MOST_BYTES = 255
"""Of the name of a file, as Linux, macOS and Windows have it."""
LONGEST_SUFFIX = "_probabilities.nii.gz"
"""Of the files that are called after a scan."""
_SHOWN_LETTERS = 40
_RESERVED = re.compile(r'[<>:"|?*]')
"""What the name of a file cannot hold on Windows, where masks may be looked at."""


def file_name(
    text: str,
    where: Where,
    *,
    suffix: str = LONGEST_SUFFIX,
    kind: type[SlicewiseError] = DataError,
    remedy: str = "choose another name",
) -> str:
    """A name from outside, safe as the name of one file or folder on any system.

    Args:
        text: from a manifest, an imported package, an address.
        where: file and line or key that it stands in, for messages.
        suffix: the longest one that is added to it.
        kind: of the error.
        remedy: what the user can do.

    Returns:
        The text itself.

    Raises:
        DataError: or another ``kind``; the text leads elsewhere, is hidden, or is too long.
    """
    if (problem := _problem(text, suffix)) is not None:
        expected, found = problem
        raise kind(where, expected=expected, found=found, remedy=remedy)
    return text


def nearest_path(path: Path, pattern: str = "*") -> str:
    """The question for the file or folder that a mistyped path resembles.

    Args:
        path: that a person gave.
        pattern: of the names that are possible.

    Returns:
        Empty if the path exists, or if nothing in its folder resembles it.
    """
    try:
        if path.exists() or not path.parent.is_dir():
            return ""
        names = sorted(item.name for item in path.parent.glob(pattern))
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {path.with_name(close[0])}?" if close else ""


def is_short_name(path: Path) -> bool:
    """Whether the disk takes the name of a file."""
    return len(os.fsencode(path.name)) <= MOST_BYTES


def require_short_name(path: Path) -> None:
    """Require that the disk takes the name of a file that is called after a scan.

    Raises:
        ScanError: the name is too long, with the ending that it has got.
    """
    if not is_short_name(path):
        raise ScanError(
            path.name,
            expected=f"a name of at most {MOST_BYTES} bytes with its ending",
            found=counted(len(os.fsencode(path.name)), "byte"),
            remedy="give the scan a shorter name",
        )


def _problem(text: str, suffix: str) -> tuple[str, str] | None:
    """What a name should be and what it is instead; None for a safe one."""
    shown = repr(text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]} ...")
    if not text.strip():
        return "a name that files can be called by", "an empty one"
    if not text.isprintable():
        return "a name without line breaks and control characters", shown
    if "/" in text or "\\" in text:
        return "a name, not a path: without / and \\", shown
    if text.startswith("."):
        return "a name that does not begin with a dot", shown
    if text != text.strip() or text.endswith("."):
        return "a name without spaces at its ends or a dot at its end", shown
    if reserved := _RESERVED.search(text):
        return f"a name without {reserved.group()}, which not every system allows", shown
    size, most = len(os.fsencode(text)), MOST_BYTES - len(suffix)
    if size > most:
        return f"a name of at most {most} bytes", f"{shown}, {size} bytes"
    return None
