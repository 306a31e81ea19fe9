"""What the terminal says of results beside their figures."""

from __future__ import annotations

import pytest

from slicewise.cli.tables import report_never_found
from slicewise.evaluation.scores import Score
from slicewise.evaluation.statistics import summarize

NAN = float("nan")


def row(structure: str, case: str, state: str) -> Score:
    dice = {"detected": 0.8, "both empty": NAN}.get(state, 0.0)
    return Score(case, case, structure, state, dice, dice, 1, 1, 2, 0.5, 0.9, 1, 1)


def test_what_is_never_found_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    states = {
        "gone": ("false negative", "false negative", "both empty", "false positive"),
        "rare": ("false negative", "detected", "false negative", "false negative"),
        "nowhere": ("both empty", "both empty", "false positive", "both empty"),
    }
    rows = [
        row(structure, f"case{number}", state)
        for structure, of_cases in states.items()
        for number, state in enumerate(of_cases)
    ]
    report_never_found(summarize(rows))
    (line,) = "".join(capsys.readouterr()).split("never found: ")[1:]
    assert line.startswith("gone, which 2 held-out cases had;")
    assert "training.foreground_fraction" in " ".join(line.split())
