"""Named errors: four parts in their text, whole again after a journey between processes."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from slicewise.errors import (
    CheckpointError,
    ConfigError,
    ConfigErrors,
    DataError,
    GeometryError,
    InterruptedBySignal,
    LabelError,
    ScanError,
    SlicewiseError,
    UsageError,
    file_problem,
)

PARTS = {"expected": "a label", "found": "nothing", "remedy": "add it"}


def test_text_holds_all_four_parts_in_order() -> None:
    lines = str(DataError(Path("scans/a.nii"), **PARTS)).splitlines()
    assert [line.strip() for line in lines] == [
        "scans/a.nii",
        "expected: a label",
        "found:    nothing",
        "remedy:   add it",
    ]


def test_reason_is_one_line() -> None:
    assert ScanError("a", **PARTS).reason == "expected a label, found nothing"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31mred\x1b[0m\x07", "\\x1b[31mred\\x1b[0m\\x07"),
        ("a\u2028b\u202ec\x85", "a\\u2028b\\u202ec\\x85"),
        ("M\udcfcller", "M\\xfcller"),
        ("Müller 1\u202f000 \N{MICRO SIGN}m 脳", "Müller 1\u202f000 \N{MICRO SIGN}m 脳"),
    ],
)
def test_no_terminal_obeys_a_name(name: str, shown: str) -> None:
    error = ScanError(name, expected=name, found=name, remedy=name)
    assert [line.split(": ")[-1].strip() for line in str(error).splitlines()] == [shown] * 4
    assert error.reason == f"expected {shown}, found {shown}"


@pytest.mark.parametrize("kind", [UsageError, ConfigError, ScanError, GeometryError, LabelError])
def test_errors_survive_pickling(kind: type[SlicewiseError]) -> None:
    error = pickle.loads(pickle.dumps(kind("a.nii", **PARTS)))
    assert type(error) is kind
    assert (error.where, error.expected, error.found, error.remedy) == ("a.nii", *PARTS.values())


def test_all_mistakes_survive_pickling() -> None:
    mistakes = [ConfigError(f"a.yaml:{line}", **PARTS) for line in (3, 7)]
    error = pickle.loads(pickle.dumps(ConfigErrors(mistakes)))
    assert [mistake.where for mistake in error.mistakes] == ["a.yaml:3", "a.yaml:7"]
    assert "a.yaml:3" in str(error)
    assert "a.yaml:7" in str(error)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("a", **PARTS), 2),
        (ConfigError("a", **PARTS), 2),
        (ConfigErrors([ConfigError("a", **PARTS)]), 2),
        (DataError("a", **PARTS), 1),
        (CheckpointError("a", **PARTS), 1),
        (InterruptedBySignal(15, Path("last.pt")), 143),
        (InterruptedBySignal(2, Path("last.pt")), 130),
        (pickle.loads(pickle.dumps(InterruptedBySignal(15, Path("last.pt")))), 143),
    ],
)
def test_exit_codes(error: SlicewiseError, code: int) -> None:
    assert error.exit_code == code


def test_problems_of_geometry_and_labels_set_one_scan_aside() -> None:
    assert issubclass(GeometryError, ScanError)
    assert issubclass(LabelError, ScanError)
    assert not issubclass(DataError, ScanError)


def test_file_problem_leaves_out_the_path() -> None:
    assert file_problem(FileNotFoundError(2, "No such file", "secret")) == "No such file"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(13, "Permission denied", "a/b"), "Permission denied"),
        (OSError("100 requested and 12 written"), "No space left on device"),
        (OSError("the device is gone"), "the device is gone"),
        (OSError(), "a failure of the file system without a reason"),
    ],
)
def test_problems_of_files_in_words(error: OSError, text: str) -> None:
    assert file_problem(error) == text
