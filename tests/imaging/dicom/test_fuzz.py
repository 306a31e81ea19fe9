"""Damaged copies of small valid files: each ends as a volume, a warning or a named error.

``SLICEWISE_FUZZ_COUNT=20000`` tries that many; ``SLICEWISE_FUZZ_FIRST=N`` begins with number N, so
that one of them can be tried again alone. Each number is always the same damage.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import FileDataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

COUNT = int(os.environ.get("SLICEWISE_FUZZ_COUNT", "500"))
FIRST = int(os.environ.get("SLICEWISE_FUZZ_FIRST", "0"))
SEED = 20240229
LIMIT_SECONDS = 10.0

VALUE_TYPES = (
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OW PN SH SL SQ SS ST TM UI UL UN US UT".split()
)
LONG_TYPES = (b"OB", b"OW", b"SQ", b"UN", b"UT")
ELEMENT = re.compile(rb"(?s)(?=(....)(" + b"|".join(VALUE_TYPES) + rb")(..))")
LENGTHS = (0, 1, 2, 7, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
VALUES = (
    b"NaN", b"Inf", b"1e308", b"-1e308", b"1e-320", b"1e39", b"-1", b"0", b"", b" ", b"\\",
    b"99999999999999999999", b"-99999999999999999999", b"2147483647", b"1\\2", b"0\\0\\0\\0\\0\\0",
    b"NaN\\NaN\\NaN", b"1e308\\-1e308\\1e308", b"-1\\-1", b"../../x", b"\xff\xfe\x80", b"x" * 1500,
    b"MOSAIC", b"MONOCHROME1", b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.5",
)  # fmt: skip

Generator = np.random.Generator
Files = list[bytes]


@dataclass(frozen=True)
class Element:
    """Where an element lies in a file with explicit value types."""

    start: int
    value_start: int
    length: int
    is_long: bool


def elements(content: bytes) -> list[Element]:
    """What looks like one; good enough to do damage in the right places."""
    found = []
    for match in ELEMENT.finditer(content):
        start, is_long = match.start(), match[2] in LONG_TYPES
        value_start = start + (12 if is_long else 8)
        if value_start <= len(content):
            form, place = ("<I", start + 8) if is_long else ("<H", start + 6)
            found.append(
                Element(start, value_start, *struct.unpack_from(form, content, place), is_long)
            )
    return found


def an_element(content: bytes, generator: Generator) -> Element:
    found = elements(content) or [Element(len(content) // 2, len(content) // 2 + 8, 4, False)]
    return found[generator.integers(len(found))]


def overwritten(content: bytes, start: int, new: bytes) -> bytes:
    return content[:start] + new + content[start + len(new) :]


def with_flipped_bits(content: bytes, generator: Generator) -> bytes:
    changed = bytearray(content)
    for place in generator.integers(128, len(content), size=generator.integers(1, 17)):
        changed[place] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def truncated(content: bytes, generator: Generator) -> bytes:
    return content[: generator.integers(len(content))]


def with_wrong_length(content: bytes, generator: Generator) -> bytes:
    one = an_element(content, generator)
    length = int(generator.choice([*LENGTHS, one.length + 1, abs(one.length - 1)]))
    if one.is_long:
        return overwritten(content, one.start + 8, struct.pack("<I", length & 0xFFFFFFFF))
    return overwritten(content, one.start + 6, struct.pack("<H", length & 0xFFFF))


def with_swapped_tags(content: bytes, generator: Generator) -> bytes:
    one, other = an_element(content, generator), an_element(content, generator)
    tags = [content[element.start : element.start + 4] for element in (one, other)]
    return overwritten(overwritten(content, one.start, tags[1]), other.start, tags[0])


def with_another_type(content: bytes, generator: Generator) -> bytes:
    one = an_element(content, generator)
    return overwritten(content, one.start + 4, VALUE_TYPES[generator.integers(len(VALUE_TYPES))])


def with_a_sequence(content: bytes, generator: Generator) -> bytes:
    one, depth = an_element(content, generator), int(2 ** generator.integers(0, 12))
    tag = content[one.start : one.start + 4]
    begin = (tag + b"SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * depth
    end = (b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0") * depth
    whole = begin + (end if generator.integers(2) else b"")
    return content[: one.start] + whole + content[one.start :]


def with_another_value(content: bytes, generator: Generator) -> bytes:
    one = an_element(content, generator)
    value = VALUES[generator.integers(len(VALUES))]
    value += b" " * (len(value) % 2)
    head = bytearray(content[one.start : one.value_start])
    struct.pack_into("<I" if one.is_long else "<H", head, 8 if one.is_long else 6, len(value))
    rest = content[one.value_start + min(one.length, len(content)) :]
    return content[: one.start] + bytes(head) + value + rest


def with_random_bytes(content: bytes, generator: Generator) -> bytes:
    one = an_element(content, generator)
    return overwritten(content, one.value_start, generator.bytes(min(one.length, 8)))


def without_an_element(content: bytes, generator: Generator) -> bytes:
    one = an_element(content, generator)
    return content[: one.start] + content[one.value_start + one.length :]


DAMAGES: tuple[Callable[[bytes, Generator], bytes], ...] = (
    with_flipped_bits,
    truncated,
    with_wrong_length,
    with_swapped_tags,
    with_another_type,
    with_a_sequence,
    with_another_value,
    with_another_value,
    with_random_bytes,
    without_an_element,
)


def stored(dataset: FileDataset) -> bytes:
    dataset.SOPInstanceUID = f"1.2.3.4.{dataset.InstanceNumber}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = DicomBytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return bytes(buffer.getvalue())


@pytest.fixture
def seeds(phantom: Any, enhanced: Any, mosaic: Any) -> dict[str, Files]:
    """Valid series: the first file of each is damaged, the others stay as they are."""

    # Of random identifiers, the same number would be another damage the next time.
    fixed = replace(phantom, series_uid="1.2.3.4")

    def series(syntax: str = "", **tags: Any) -> Files:
        datasets = fixed.datasets(SpacingBetweenSlices="3.5", PatientID="x", **tags)[:3]
        for dataset in datasets:
            if syntax in (RLELossless, JPEGLSLossless):
                dataset.compress(syntax, generate_instance_uid=False)
            elif syntax:
                dataset.file_meta.TransferSyntaxUID = syntax
        return [stored(dataset) for dataset in datasets]

    twice = enhanced([0, 1, 2, 0, 1, 2], phantom=fixed)
    for number, frame in enumerate(twice.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence[0].TemporalPositionIndex = 1 + number // 3
    radiograph = fixed.datasets(SOPClassUID=ComputedRadiographyImageStorage)[0]
    return {
        "classic": series(),
        "phases": series() + series(TriggerTime="40", AcquisitionNumber=2),
        "implicit": series(ImplicitVRLittleEndian),
        "big endian": series(ExplicitVRBigEndian),
        "deflated": series(DeflatedExplicitVRLittleEndian),
        "RLE": series(RLELossless),
        "JPEG-LS": series(JPEGLSLossless),
        "rescaled": series(RescaleSlope="2.5", RescaleIntercept="-3", PixelPaddingValue=-100),
        "enhanced": [stored(enhanced(phantom=fixed))],
        "enhanced twice": [stored(twice)],
        "mosaic": [stored(mosaic(phantom=fixed, InstanceNumber=number)) for number in (1, 2)],
        "radiograph": [stored(radiograph)],
    }


def damaged(files: Files, number: int) -> tuple[list[str], Files]:
    """Names of the damages, and the files with the first of them damaged."""
    generator = np.random.default_rng([SEED, number])
    content, names = files[0], []
    for _ in range(int(generator.integers(1, 4))):
        damage = DAMAGES[generator.integers(len(DAMAGES))]
        if len(content) > 200:
            content = damage(content, generator)
            names.append(damage.__name__)
    return names, [content, *files[1:]]


def where_raised(error: Exception) -> str:
    """The last line of ours, in the child where there was one, and what was raised."""
    told = str(error.__cause__ or "".join(traceback.format_exception(error)))
    places = re.findall(r'File ".*/(slicewise/.*)", line (\d+), in (\w+)', told)
    ours = [place for place in places if "sandbox" not in place[0]]
    return f"{type(error).__name__} in {':'.join(ours[-1])}"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Big Endian.*", "ignore:.*odd length.*")
@pytest.mark.skipif(COUNT < 1, reason="SLICEWISE_FUZZ_COUNT is 0")
def test_damaged_files_end_in_a_volume_or_a_named_error(
    seeds: dict[str, Files], outcome_of: Any, say: Any, tmp_path: Path
) -> None:
    outcomes: Counter[str] = Counter()
    failures: dict[str, str] = {}
    for number in range(FIRST, FIRST + COUNT):
        seed = list(seeds)[number % len(seeds)]
        names, files = damaged(seeds[seed], number)
        folder = tmp_path / str(number)
        folder.mkdir()
        for place, content in enumerate(files):
            (folder / f"{place}.dcm").write_bytes(content)
        failure, started = "", time.monotonic()
        try:
            outcomes[outcome_of(folder, irregular_slices=("refuse", "resample")[number % 2])] += 1
        except Exception as error:
            failure = where_raised(error)
        if time.monotonic() - started > LIMIT_SECONDS:
            failure = "too slow"
        if failure:
            outcomes[failure] += 1
            # The folder stays, to be looked at.
            failures.setdefault(failure, f"{folder}: {seed}, {', '.join(names)}")
        else:
            shutil.rmtree(folder)
    say(f"{COUNT} damaged files: {dict(sorted(outcomes.items()))}")
    assert not failures, "\n".join(f"{error}: {case}" for error, case in failures.items())
