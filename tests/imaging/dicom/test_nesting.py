"""Sequences inside sequences, deeper than any parser likes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.sandbox import Sandbox

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]

MEBIBYTE = 2**20
PATIENT_NAME = b"\x10\0\x10\0PN"
REFERENCED_IMAGES = b"\x08\0\x40\x11"
SERIES_DESCRIPTION = b"\x08\0\x3e\x10"
META_LENGTH = b"\x02\0\0\0"
SHARED_GROUPS = b"\x00\x52\x29\x92"
UNDEFINED = b"\xff\xff\xff\xff"


def nested(depth: int, tag: bytes, length_is_known: bool, innermost: bytes = b"") -> bytes:
    """Sequences of one item each, one in the other."""
    if not length_is_known:
        begin = tag + b"SQ\0\0" + UNDEFINED + b"\xfe\xff\x00\xe0" + UNDEFINED
        end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
        return begin * depth + innermost + end * depth
    begins = []
    for level in range(depth):
        held = len(innermost) + 20 * level
        item = struct.pack("<4sI", b"\xfe\xff\x00\xe0", held)
        begins.append(tag + b"SQ\0\0" + struct.pack("<I", held + 8) + item)
    return b"".join(reversed(begins)) + innermost


def nest(folder: Path, sequence: bytes) -> None:
    for file in folder.iterdir():
        content = file.read_bytes()
        start = content.index(PATIENT_NAME)
        file.write_bytes(content[:start] + sequence + content[start:])


@pytest.mark.fault(83, "Q")
@pytest.mark.parametrize("depth", [300, 20_000])
@pytest.mark.parametrize("tag", [REFERENCED_IMAGES, SHARED_GROUPS], ids=["unread", "read"])
def test_nested_sequences(
    depth: int, tag: bytes, phantom: Any, write_dicom: Write, refused: Call
) -> None:
    folder = write_dicom(phantom.datasets()[:1])
    nest(folder, nested(depth, tag, length_is_known=False))
    assert refused(folder).found == "sequences that are nested too deeply"


@pytest.mark.fault(83, "OK")
@pytest.mark.parametrize("depth", [300, 20_000])
@pytest.mark.parametrize("tag", [REFERENCED_IMAGES, SHARED_GROUPS], ids=["unread", "read"])
def test_nested_sequences_of_known_length_are_skipped(
    depth: int, tag: bytes, phantom: Any, write_dicom: Write, read: Call
) -> None:
    folder = write_dicom(phantom.datasets())
    nest(folder, nested(depth, tag, length_is_known=True))
    np.testing.assert_array_equal(read(folder).voxels, phantom.voxels)


@pytest.mark.fault(83, "Q")
@pytest.mark.parametrize("tag", [SERIES_DESCRIPTION, META_LENGTH], ids=["text", "meta"])
def test_fault_deep_inside_a_sequence_that_should_be_a_text(
    tag: bytes, phantom: Any, write_dicom: Write
) -> None:
    folder = write_dicom(phantom.datasets(SeriesDescription=None)[:1])
    (file,) = folder.iterdir()
    number_of_three_bytes = b"\x28\0\x10\0US\x03\0abc"
    fault = nested(30, tag, length_is_known=False, innermost=number_of_three_bytes)
    content = file.read_bytes()
    start = 132 if tag == META_LENGTH else content.index(PATIENT_NAME)
    file.write_bytes(content[:start] + fault + content[start + 12 * (tag == META_LENGTH) :])
    with Sandbox(memory_bytes=64 * MEBIBYTE) as small:
        (error,) = DicomScanner(sandbox=small).find(folder).set_aside
    assert "MemoryError" not in error.found
    assert "no end after" not in error.found
