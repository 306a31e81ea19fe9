"""Small files that claim to be, or become, very large ones."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from slicewise.errors import ScanError
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.sandbox import Sandbox

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]

MEBIBYTE = 2**20
PATIENT_NAME = b"\x10\0\x10\0PN"
PIXEL_DATA = b"\xe0\x7f\x10\0OW\0\0"
PRIVATE_BYTES = b"\x09\0\x10\x10OB\0\0"


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
    assert error.found == "content that needs more memory than is permitted"


MEASURE = """
import json, re, resource, sys
from pathlib import Path
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.sandbox import Sandbox

if __name__ == "__main__":
    with Sandbox() as sandbox:
        scan = DicomScanner(sandbox=sandbox).find(Path(sys.argv[1]))
    # Not ru_maxrss: it remembers the process that this one was forked from.
    status = Path("/proc/self/status").read_text()
    parent_mib = int(re.search(r"VmHWM:\\s+(\\d+) kB", status).group(1)) / 1024
    child_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps([[one.shape for one in scan.series],
                      [one.where for one in scan.set_aside], parent_mib, child_mib]))
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
