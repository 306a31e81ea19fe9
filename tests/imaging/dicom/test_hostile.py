"""Files made to do harm: the search goes on, in bounded time and memory."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from pipeline.errors import ScanError, SlicewiseError
from pipeline.imaging.dicom.pixels import Slice, decode_series
from pipeline.imaging.dicom.reading import read_series
from pipeline.imaging.dicom.scanner import DicomScanner
from pipeline.imaging.sandbox import ChildDiedError, Sandbox

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]

MEBIBYTE = 2**20
PATIENT_NAME = b"\x10\0\x10\0PN"
PIXEL_DATA = b"\xe0\x7f\x10\0OW\0\0"
PRIVATE_BYTES = b"\x09\0\x10\x10OB\0\0"
REFERENCED_IMAGES = b"\x08\0\x40\x11"
SERIES_DESCRIPTION = b"\x08\0\x3e\x10"
META_LENGTH = b"\x02\0\0\0"
SHARED_GROUPS = b"\x00\x52\x29\x92"
UNDEFINED = b"\xff\xff\xff\xff"


def become_a_bomb(path: Path, element: bytes, size_bytes: int) -> None:
    """Replace what follows an element's tag, in a deflated file, with very many zeros."""
    content = path.read_bytes()
    meta_bytes = 128 + 4 + 12 + dcmread(path).file_meta.FileMetaInformationGroupLength
    header = zlib.decompress(content[meta_bytes:], -zlib.MAX_WBITS)
    header = header[: header.index(PIXEL_DATA if element == PIXEL_DATA else PATIENT_NAME)]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)

    def packed(plain: bytes) -> bytes:
        # After a full flush, equal blocks become equal bytes: one is packed for all of them.
        return packer.compress(plain) + packer.flush(zlib.Z_FULL_FLUSH)

    start = packed(header + element + struct.pack("<I", size_bytes))
    blocks = packed(bytes(MEBIBYTE)) * (size_bytes // MEBIBYTE)
    path.write_bytes(content[:meta_bytes] + start + blocks + packer.flush(zlib.Z_FINISH))


def deflated(phantom: Any, write_dicom: Write) -> Path:
    datasets = phantom.datasets()[:1]
    datasets[0].file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return write_dicom(datasets)


@pytest.mark.fault(80, "Q")
@pytest.mark.parametrize("element", [PIXEL_DATA, PRIVATE_BYTES], ids=["pixels", "header"])
def test_deflate_bomb_meets_the_limit_of_the_child(
    element: bytes, phantom: Any, write_dicom: Write
) -> None:
    folder = deflated(phantom, write_dicom)
    (path,) = folder.iterdir()
    become_a_bomb(path, element, 256 * MEBIBYTE)
    assert path.stat().st_size < 300_000
    with Sandbox(memory_bytes=128 * MEBIBYTE) as small:
        scan = DicomScanner(sandbox=small).find(folder)
    assert not scan.series
    (error,) = scan.set_aside
    assert error.where == str(path)
    assert error.found == "damage (MemoryError)"


MEASURE = """
import json, resource, sys
from pathlib import Path
from pipeline.imaging.dicom.scanner import DicomScanner
from pipeline.imaging.sandbox import Sandbox

if __name__ == "__main__":
    with Sandbox() as sandbox:
        scan = DicomScanner(sandbox=sandbox).find(Path(sys.argv[1]))
    used = [resource.getrusage(who).ru_maxrss / 1024
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps([[one.shape for one in scan.series],
                      [one.where for one in scan.set_aside], *used]))
"""


@pytest.mark.slow
@pytest.mark.fault(80, "Q")
@pytest.mark.parametrize("element", [PIXEL_DATA, PRIVATE_BYTES], ids=["pixels", "header"])
def test_deflate_bomb_of_real_size(
    element: bytes, phantom: Any, write_dicom: Write, tmp_path: Path
) -> None:
    folder = deflated(phantom, write_dicom)
    (bomb,) = folder.iterdir()
    become_a_bomb(bomb, element, 1300 * MEBIBYTE)
    # Deflate shrinks by a factor of about 1000 at most.
    assert bomb.stat().st_size < 1_400_000
    other = folder / "good"
    other.mkdir()
    for dataset in phantom.datasets(SeriesInstanceUID="1.2.3"):
        dataset.save_as(other / dataset.SOPInstanceUID, enforce_file_format=True)
    script = tmp_path / "measure.py"
    script.write_text(MEASURE)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(script), str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    seconds = time.monotonic() - started
    shapes, set_aside, parent_mib, child_mib = json.loads(done.stdout)
    assert shapes == [[11, 7, 5]]
    assert set_aside == [str(bomb)]
    assert parent_mib < 512
    assert child_mib < 1024 + 256
    assert seconds < 60


@pytest.mark.fault(82, "Q")
def test_rle_of_a_giant_image(phantom: Any, write_dicom: Write, refused: Call) -> None:
    dataset = phantom.datasets()[0]
    dataset.compress(RLELossless)
    dataset.Rows = dataset.Columns = 65535
    error = refused(write_dicom([dataset]))
    assert error.where.endswith(": Rows, Columns")
    assert error.found == "65535 x 65535"


@pytest.mark.fault(82, "Q")
def test_rle_of_an_image_just_below_the_limit(phantom: Any, write_dicom: Write, read: Call) -> None:
    dataset = phantom.datasets()[0]
    dataset.compress(RLELossless)
    dataset.Rows = dataset.Columns = 8192
    with pytest.raises(ScanError, match="truncated or damaged"):
        read(write_dicom([dataset]))


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
    assert refused(folder).found == "damage (RecursionError)"


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
@pytest.mark.xfail(strict=True, reason="pydicom doubles a message at each level of a sequence")
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


class FragileSandbox(Sandbox):
    """Its child dies of every file that is called ``hostile``."""

    def call(self, function: Any, *arguments: Any, where: Any, **_: Any) -> Any:
        if any(path.stem == "hostile" for path in arguments[0]):
            raise ChildDiedError(where, expected="life", found="SIGSEGV", remedy="none")
        return function(*arguments)


@pytest.mark.fault(85, "Q")
def test_one_hostile_file_does_not_take_the_others_along(phantom: Any, write_dicom: Write) -> None:
    folder = write_dicom(phantom.datasets())
    (folder / "hostile.dcm").write_bytes(b"boom")
    scan = DicomScanner(sandbox=FragileSandbox()).find(folder)
    assert [one.shape for one in scan.series] == [(11, 7, 5)]
    assert [error.where for error in scan.set_aside] == [str(folder / "hostile.dcm")]
    assert any("unreadable files" in text for text in scan.series[0].warnings)


def die_of_the_third_slice(slices: list[Slice], *arguments: Any) -> None:
    """Stands in for a decoder with a fault."""
    decode_series(slices[:2], *arguments)
    os.kill(os.getpid(), signal.SIGFPE)


class DyingSandbox(Sandbox):
    """Its decoder dies of the third slice."""

    def call(self, function: Any, *arguments: Any, **options: Any) -> Any:
        function = die_of_the_third_slice if function is decode_series else function
        return super().call(function, *arguments, **options)


@pytest.mark.fault(85, "Q")
def test_death_of_the_decoder_names_the_slice(
    phantom: Any, write_dicom: Write, only: Call, sandbox: Sandbox
) -> None:
    series = only(write_dicom(phantom.datasets()))
    with DyingSandbox() as dying, pytest.raises(ScanError, match="SIGFPE") as caught:
        read_series(series, dying)
    assert caught.value.where == str(series.files[2])
    np.testing.assert_array_equal(read_series(series, sandbox).voxels, phantom.voxels)


@pytest.mark.data
@pytest.mark.fault(85, "Q")
def test_file_that_kills_other_decoders(test_data: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    (path,) = (test_data / "hostile_dicom").rglob("TC0847_rle_seg_offset_oob.dcm")
    assert path.stat().st_size == 872
    with pytest.raises(ScanError, match="truncated or damaged"):
        sandbox.call(
            decode_series, [Slice(path, 0, 0)], (64, 64), "float32", tmp_path / "raw", where=path
        )


@pytest.mark.data
@pytest.mark.slow
def test_every_hostile_file_ends_alone_and_in_time(
    test_data: Path, outcome_of: Call, say: Call
) -> None:
    files = sorted(path for path in (test_data / "hostile_dicom").rglob("*") if path.is_file())
    outcomes: Counter[str] = Counter()
    for path in files:
        started = time.monotonic()
        outcomes[outcome_of(path)] += 1
        assert time.monotonic() - started < 10, path
    say(f"{len(files)} hostile files: {dict(outcomes)}")
    # A licence, a table and two lists of what the files do are no DICOM.
    assert outcomes == {"Q": 453, "no image": 4}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.xfail(
    strict=True, reason="no TransferSyntaxUID: AttributeError", raises=AttributeError
)
def test_pixels_of_every_hostile_file(
    test_data: Path, sandbox: Sandbox, tmp_path: Path, say: Call
) -> None:
    """Most of them lack a place in the patient, so that their pixels are never reached."""
    outcomes: Counter[str] = Counter()
    for path in sorted((test_data / "hostile_dicom").rglob("*.dcm")):
        started = time.monotonic()
        one = [Slice(path, 0, 0)]
        try:
            sandbox.call(
                decode_series, one, (64, 64), "float32", tmp_path / "raw", where=path,
                timeout_seconds=10,
            )  # fmt: skip
            outcomes["decoded"] += 1
        except SlicewiseError as error:
            outcomes[type(error).__name__] += 1
        assert time.monotonic() - started < 10, path
    say(f"pixels of hostile files: {dict(outcomes)}")
    assert outcomes["decoded"] > 250
    assert outcomes["ScanError"] > 50
    assert "ChildDiedError" not in outcomes


@pytest.mark.data
def test_hostile_files_beside_a_good_series(
    test_data: Path, phantom: Any, write_dicom: Write, find: Call
) -> None:
    folder = write_dicom(phantom.datasets())
    for path in (test_data / "hostile_dicom" / "fuzz_corpus_v2").rglob("*.dcm"):
        (folder / f"{path.parent.name}_{path.name}").write_bytes(path.read_bytes())
    scan = find(folder)
    assert [one.shape for one in scan.series] == [(11, 7, 5)]
    assert len(scan.set_aside) > 50
