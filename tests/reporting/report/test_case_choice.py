"""Which cases a report shows."""

from __future__ import annotations

from typing import Any

from slicewise.reporting.report.case_choice import Choice, choose_cases


class Judged:
    """What choosing asks of a report."""

    def __init__(self, dice: dict[str, float], failures: tuple[Any, ...] = ()) -> None:
        self.volumes_ml: dict[str, dict[str, float]] = {}
        self.scores = [
            type("Row", (), {"case": case, "dice": value}) for case, value in dice.items()
        ]
        self.failures = failures


def test_best_median_worst_and_failures_are_shown() -> None:
    failed = tuple(
        type("Failure", (), {"case": case, "kind": kind})
        for case, kind in (("b", "false negative"), ("b", "leaked"), ("e", "leaked"))
    )
    dice = dict(zip("abcde", (0.5, 0.6, 0.7, 0.8, 0.9), strict=True)) | {"none": float("nan")}
    chosen = choose_cases(Judged(dice, failed))  # type: ignore[arg-type]
    assert chosen == [
        Choice("e", "best", by_errors=False),
        Choice("c", "median", by_errors=False),
        Choice("a", "worst", by_errors=True),
        Choice("b", "false negative", by_errors=True),
    ]
    assert [one.role for one in choose_cases(Judged({"a": 0.5, "b": 0.6}))] == [  # type: ignore[arg-type]
        "best",
        "worst",
    ]
    assert choose_cases(Judged({"a": float("nan")})) == []  # type: ignore[arg-type]
