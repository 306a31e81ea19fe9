"""Lines of progress where no bar can move, at a pace that a fake clock sets."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from slicewise.cli.plain_progress import SECONDS_BETWEEN_LINES, PlainProgress, PlainTask


class Hours:
    """A clock that moves only while somebody waits, and a work that takes a number of waits."""

    def __init__(self, waits: int) -> None:
        self.seconds, self.left, self.waited = 0.0, waits, threading.Event()

    def clock(self) -> float:
        return self.seconds

    def new_stop(self) -> threading.Event:
        stop = threading.Event()
        stop.wait = self.wait  # type: ignore[method-assign]
        return stop

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        if self.left == 0:
            self.waited.set()
            return True
        self.left -= 1
        self.seconds += timeout
        return False


def lines_of(waits: int, work: Callable[[PlainProgress], None]) -> list[str]:
    lines: list[str] = []
    hours = Hours(waits)
    progress = PlainProgress(lines.append, hours.clock, hours.new_stop)
    work(progress)
    return lines


@pytest.mark.fault(138, "OK")
def test_a_task_without_any_update_is_heard_of_every_thirty_seconds() -> None:
    assert SECONDS_BETWEEN_LINES == 30

    def work(progress: PlainProgress) -> None:
        with progress.task("measuring a few steps"):
            pass

    assert lines_of(4, work) == [
        "measuring a few steps: 30 s",
        "measuring a few steps: 60 s",
        "measuring a few steps: 90 s",
        "measuring a few steps: 2.0 min",
        "measuring a few steps: 2.0 min",
    ]


def test_a_task_within_a_task() -> None:
    lines: list[str] = []
    progress = PlainProgress(lines.append, lambda: 0.0)
    with progress.task("variants", 3) as outer:
        outer.update(1)
        with progress.task("training", 100) as inner:
            inner.update(40)
    assert lines == ["training: 40 of 100 (40 %), 0 s", "variants: 1 of 3 (33 %), 0 s"]


@pytest.mark.parametrize(
    ("completed", "total", "line"),
    [
        (120, 500, "training: 120 of 500 (24 %), 10.0 min, about 38.0 min left"),
        (20, 500, "training: 20 of 500 (4 %), 10.0 min"),
        (500, 500, "training: 500 of 500 (100 %), 10.0 min"),
        (1200, None, "training: 1,200, 10.0 min"),
    ],
)
def test_what_remains_follows_from_what_this_run_did(
    completed: int, total: int | None, line: str
) -> None:
    seconds = [0.0]
    task = PlainTask("training", total, 20, lambda: seconds[0])
    seconds[0] = 600
    task.update(completed)
    assert task.line == line


def test_a_task_that_fails_still_says_how_far_it_came() -> None:
    lines: list[str] = []
    progress = PlainProgress(lines.append, lambda: 0.0)

    def read() -> None:
        with progress.task("reading", 9) as task:
            task.update(5)
            raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        read()
    assert lines == ["reading: 5 of 9 (56 %), 0 s"]


def test_the_time_that_is_left_is_that_of_the_present_part() -> None:
    clock = iter([0.0, 20.0, 30.0, 30.0])
    task = PlainTask("fold 0", None, 0, lambda: next(clock))
    task.update(0, total=100, detail="training")
    task.update(50)
    assert task.line == "fold 0: 50 of 100 (50 %), 30 s, about 10 s left, training"
