"""The demo from Python: the whole way, and nothing printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.recorded_progress import RecordedProgress

import slicewise

pytestmark = pytest.mark.slow


def test_the_whole_way(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    progress = RecordedProgress()
    capfd.readouterr()
    result = slicewise.run_demo(
        work=tmp_path, subjects=8, settings=["training.steps=5"], progress=progress
    )
    assert capfd.readouterr() == ("", "")
    assert result.check.is_sound
    assert len(result.check.table) == 8
    assert set(result.training.scores["structure"]) == {"csf", "grey_matter", "white_matter"}
    assert list(result.training.summary.index) == ["csf", "grey_matter", "white_matter"]
    assert result.report.page.exists()
    assert result.check.html is not None
    assert result.check.html.exists()
    done = [task.description for task in progress.tasks]
    for description in ("making the cohort", "checking", "preprocessing"):
        assert description in done
    assert any("synthetic" in text for text in progress.messages)
