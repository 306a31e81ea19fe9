"""Reads values of DICOM tags as plain Python types, with checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.errors import GeometryError, ScanError
from slicewise.quantities import counted

if TYPE_CHECKING:
    from pydicom import Dataset


MAXIMUM_TEXT = 1024
"""Maximum length of a text that is passed to the main process."""


def text(dataset: Dataset, keyword: str) -> str:
    """A value as text; empty if absent.

    Raises:
        ValueError: longer than ``MAXIMUM_TEXT``.
        TypeError: a sequence.
    """
    value = dataset.get(keyword)
    return "" if value is None else _bounded(value)


def private_text(dataset: Dataset, tag: tuple[int, int]) -> str:
    """A value of a private tag as text; empty if absent."""
    return _bounded(dataset[tag].value) if tag in dataset else ""


def _bounded(value: object) -> str:
    from pydicom import Sequence as DicomSequence

    # The cost of formatting doubles with each level of a nested sequence.
    if isinstance(value, DicomSequence):
        raise TypeError("a sequence instead of a text")
    written = str(value)
    if len(written) > MAXIMUM_TEXT:
        raise ValueError(f"more than {MAXIMUM_TEXT} characters")
    return written


def integer(dataset: Dataset, keyword: str) -> int | None:
    """An integer; None if absent, or outside the 32 bits of the standard."""
    value = dataset.get(keyword)
    if value in (None, "") or not -(2**31) <= int(value) < 2**32:
        return None
    return int(value)


def number(path: Path, dataset: Dataset, keyword: str) -> float | None:
    """A finite number; None if absent.

    Raises:
        GeometryError: the value is not a finite number.
    """
    if dataset.get(keyword) in (None, ""):
        return None
    return finite_numbers(path, dataset, keyword, 1)[0]


def finite_numbers(path: Path, dataset: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    """A given number of finite numbers.

    Raises:
        GeometryError: the tag is absent, has another count, or is not finite.
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
        found="no such tag"
        if value is None
        else f"{counted(len(numbers), 'value')}, or not finite",
        remedy="export the series again with this tag",
    )


def unreadable(path: Path, what: str, error: Exception) -> ScanError:
    """The error for damaged data, without its content."""
    # Without the message of the error: it may quote the header, which identifies the patient.
    return ScanError(
        path,
        expected=f"{what} that can be parsed",
        found=_problem(error),
        remedy="export the file again, or remove it",
    )


def _problem(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "content that needs more memory than is permitted"
    if isinstance(error, RecursionError):
        return "sequences that are nested too deeply"
    return "a damaged file"
