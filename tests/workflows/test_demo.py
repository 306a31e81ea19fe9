"""The demo from Python: the whole way, and nothing printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.recorded_progress import RecordedProgress

from slicewise.workflows.demo import DemoOptions, run_demo

pytestmark = pytest.mark.slow


def test_the_whole_way(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    progress = RecordedProgress()
    capfd.readouterr()
    result = run_demo(DemoOptions(tmp_path, 8, settings=("training.steps=5",)), progress)
    assert capfd.readouterr() == ("", "")
    assert result.check.is_sound
    assert len(result.check.table) == 8
    assert {score.structure for score in result.training.scores} == {
        *("csf", "grey_matter", "white_matter")
    }
    assert result.report.page.exists()
    assert result.check.html is not None
    assert result.check.html.exists()
    done = [task.description for task in progress.tasks]
    for description in ("making the cohort", "checking", "preprocessing"):
        assert description in done
    assert any("synthetic" in text for text in progress.messages)
