"""Tags of a DICOM header in, plain Python values out; damage becomes a named error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.errors import GeometryError, ScanError

if TYPE_CHECKING:
    from pydicom import Dataset


MAXIMUM_TEXT = 1024
"""Longest value that leaves the child process; what headers are sorted by is far shorter."""


def text(dataset: Dataset, keyword: str) -> str:
    """A value as text; empty where there is none.

    Raises:
        ValueError: absurdly long.
        TypeError: a sequence.
    """
    value = dataset.get(keyword)
    return "" if value is None else _bounded(value)


def private_text(dataset: Dataset, tag: tuple[int, int]) -> str:
    """A private value as text; empty where there is none."""
    return _bounded(dataset[tag].value) if tag in dataset else ""


def _bounded(value: object) -> str:
    from pydicom import Sequence as DicomSequence

    # Writing out nested sequences costs twice as much a level, and a damaged one never ends.
    if isinstance(value, DicomSequence):
        raise TypeError("a sequence in the place of a text")
    written = str(value)
    if len(written) > MAXIMUM_TEXT:
        raise ValueError(f"more than {MAXIMUM_TEXT} characters")
    return written


def integer(dataset: Dataset, keyword: str) -> int | None:
    """A whole number; None where there is none, or one beyond the 32 bits of the standard."""
    value = dataset.get(keyword)
    if value in (None, "") or not -(2**31) <= int(value) < 2**32:
        return None
    return int(value)


def number(path: Path, dataset: Dataset, keyword: str) -> float | None:
    """A finite number; None where there is none.

    Raises:
        GeometryError: the value is no finite number.
    """
    if dataset.get(keyword) in (None, ""):
        return None
    return finite_numbers(path, dataset, keyword, 1)[0]


def finite_numbers(path: Path, dataset: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    """As many finite numbers as the tag must hold.

    Raises:
        GeometryError: the tag is absent, has another count, or holds NaN, Inf or no number.
    """
    value = dataset.get(keyword)
    many = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    try:
        numbers = tuple(float(one) for one in many)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) == count and all(math.isfinite(one) for one in numbers):
        return numbers
    raise GeometryError(
        f"{path}: {keyword}",
        expected=f"{count} finite numbers in {keyword}",
        found="no such tag" if value is None else f"{len(numbers)} values, or not finite",
        remedy="export the series again with this tag",
    )


def unreadable(path: Path, what: str, error: Exception) -> ScanError:
    """The error that tells of damage without quoting it."""
    # Only the kind of the error: its message may quote the header, and so the patient.
    return ScanError(
        path,
        expected=f"{what} that can be parsed",
        found=f"damage ({type(error).__name__})",
        remedy="export the file again, or remove it",
    )
