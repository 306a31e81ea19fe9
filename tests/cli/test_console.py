"""What the terminal shows of work under way."""

from __future__ import annotations

import pytest

from slicewise.cli import console


def test_a_bar_moves_within_an_item(monkeypatch: pytest.MonkeyPatch) -> None:
    bar = console.progress_bar()
    monkeypatch.setattr(console, "progress_bar", lambda: bar)
    seen = []
    for _, on_share in console.tracked_shares("ab", "predicting", 2):
        on_share(0.25)
        seen.append(bar.tasks[0].completed)
    assert seen == [0.25, 1.25]
    assert bar.tasks[0].completed == bar.tasks[0].total == 2
