"""Writes counts, lists, figures, durations and volumes for people."""

from __future__ import annotations

import math
from collections.abc import Iterable

_LEAST_ML = 0.0005
_WHOLE_FROM_ML = 999.5
_SECONDS_UP_TO, _MINUTES_UP_TO = 99.5, 99.95


def counted(number: int, noun: str) -> str:
    """A count with its noun, such as 1 case or 2 cases."""
    return f"{number} {noun_for(number, noun)}"


def listed(
    names: Iterable[str], most: int = 12, *, of: int | None = None, separator: str = ", "
) -> str:
    """Names for a message; a long list is shortened.

    Args:
        names: in order.
        most: names that are shown.
        of: number of all names, where only the first of them are given.
        separator: between names.
    """
    names = list(names)
    left = (of or len(names)) - most
    return separator.join(names[:most]) + (f" and {left} more" if left > 0 else "")


def noun_for(number: int, noun: str) -> str:
    """The noun that follows a count: case for 1, otherwise cases."""
    return noun if number == 1 else f"{noun}s"


def figure(value: float, digits: int = 4) -> str:
    """A figure with fixed decimals; a dash where it is undefined."""
    return "-" if value != value else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours, whichever is readable: 45 s, 3.1 min, 2.5 h."""
    if seconds < _SECONDS_UP_TO:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < _MINUTES_UP_TO else f"{minutes / 60:.1f} h"


def data_size(size_bytes: float) -> str:
    """The size of a file or of memory, such as 3,120 bytes, 12.5 MB or 4.0 GB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:,.1f} {unit}"
    return f"{size_bytes:,.0f} bytes"


def size(value: float, *, in_pixels: bool = False) -> str:
    """A volume in millilitres, or an area in pixels where the spacing is unknown."""
    return f"{value:,.0f} px" if in_pixels else f"{millilitres(value)} ml"


def part_of(part: float, whole: float, *, in_pixels: bool = False) -> str:
    """Two sizes with one unit, such as 3.28 of 4.1 ml."""
    first, _, _ = size(part, in_pixels=in_pixels).rpartition(" ")
    return f"{first} of {size(whole, in_pixels=in_pixels)}"


def millilitres(volume_ml: float, *, signed: bool = False) -> str:
    """A volume, or a difference of volumes, with three significant digits and no exponent.

    From 1000 ml on it is whole millilitres with separators (``1,020``); what does not reach three
    decimals is ``<0.001``, and NaN a dash. The unit is left to the sentence or to the table's head.

    Args:
        volume_ml: in millilitres.
        signed: whether a positive difference shows its sign.
    """
    if math.isnan(volume_ml):
        return "-"
    sign = "+" if signed and volume_ml else ""
    if 0 < abs(volume_ml) < _LEAST_ML:
        return f"{'-' * (volume_ml < 0)}<0.001"
    if abs(volume_ml) >= _WHOLE_FROM_ML:
        return f"{volume_ml:{sign},.0f}"
    return f"{round(volume_ml, 3):{sign}.3g}"
