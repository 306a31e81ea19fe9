"""Files made to do harm: the search goes on, in bounded time and memory."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from slicewise.errors import ScanError, SlicewiseError
from slicewise.imaging.dicom.pixels import Slice, decode_series
from slicewise.imaging.dicom.reading import read_series
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.sandbox import ChildDiedError, Sandbox

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]


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
