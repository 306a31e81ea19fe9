"""Preparing a data set says what it found in the slice cache."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tests.recorded_progress import RecordedProgress

from slicewise.config import load_config
from slicewise.dataset import cache
from slicewise.workflows.prepare import PrepareOptions, prepare


@pytest.mark.fault(101, "W")
def test_damaged_slices_are_told(
    scans: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "run_on_scans", partial(_here, cache.run_on_scans))
    options = PrepareOptions(load_config(tiny, [f"data.root={scans}"]), tmp_path / "work")
    first = prepare(options)
    image = first.prepared.cases[1].folder / "image.npy"
    content = bytearray(image.read_bytes())
    content[-1] ^= 1
    image.write_bytes(content)
    progress = RecordedProgress()
    assert prepare(options, progress).cases == first.cases
    (text,) = [text for text in progress.messages if "made again" in text]
    assert text.endswith(f": {first.cases[1]}")


def _here(run_on_scans: object, function: object, items: object, workers: int) -> object:
    """Does the work in this process."""
    del workers
    assert callable(run_on_scans)
    return run_on_scans(function, items, 0)
