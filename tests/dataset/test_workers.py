"""Workers: a bad item, or one that kills its process, does not take the others with it."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
import pytest

from slicewise.dataset.workers import (
    chosen_workers,
    default_workers,
    run_on_all_scans,
    run_on_scans,
)
from slicewise.errors import InterruptedBySignal, ScanError, UsageError, WorkerError
from slicewise.interruption import interruptible
from slicewise.progress import SILENT

# Workers import what they run by name, and test modules have no name that they could import:
# so the items are expressions, and the function is `eval`.
DIE = "__import__('os').kill(__import__('os').getpid(), 9)"
MISSING = (
    "__import__('slicewise.imaging.nifti.reading', fromlist=['x'])"
    ".read_nifti(__import__('pathlib').Path('absent.nii'))"
)

FRAGILE = """
import os
from pathlib import Path

left = Path(__file__).with_name("left")
if deaths := int(left.read_text()):
    left.write_text(str(deaths - 1))
    os.kill(os.getpid(), 9)


def double(item):
    return 2 * item
"""


def counted(path: Path, expression: str) -> str:
    """The expression, with a mark in a file each time that it is begun."""
    opened = f"__import__('os').open({str(path)!r}, 1025 | 64)"
    return f"(__import__('os').write({opened}, b'x'), {expression})[1]"


@pytest.mark.fault(111, "E")
def test_more_workers_than_fit_into_memory() -> None:
    with pytest.raises(UsageError, match="1,000,000 processes, which need at least 100,000 GB"):
        chosen_workers(1_000_000)


@pytest.mark.fault(74, "Q")
def test_faults_stay_with_their_items(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    first = f"({DIE} if len(open({str(tmp_path / 'once')!r}).read()) < 2 else 'survived')"
    once, always = counted(tmp_path / "once", first), counted(marks, DIE)
    items = ["1 + 1", always, MISSING, "2 + 2", once]
    results = dict(run_on_scans(eval, items, 2))
    assert set(results) == set(items)
    assert (results["1 + 1"], results["2 + 2"]) == (2, 4)
    assert results[once] == "survived"
    error = results[MISSING]
    assert isinstance(error, ScanError)
    assert error.where == "absent.nii"
    death = results[always]
    assert isinstance(death, ScanError)
    assert "SIGKILL" in death.found
    assert marks.read_text() == "xx"


@pytest.mark.fault(109, "Q")
@pytest.mark.parametrize("workers", [0, 2])
def test_what_does_not_fit_into_memory_is_tried_again_by_itself(
    tmp_path: Path, workers: int
) -> None:
    marks = tmp_path / "marks"
    results = dict(run_on_scans(eval, [counted(marks, "bytearray(2**60)"), "1 + 1"], workers))
    assert results.pop("1 + 1") == 2
    (error,) = results.values()
    assert isinstance(error, ScanError)
    assert "memory" in error.found
    assert marks.read_text() == ("xx" if workers else "x")


class Deadly:
    """Kills the first process that receives it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        mark = repr(str(self.mark))
        kill = f"(open({mark}, 'w').close(), {DIE})"
        return (eval, (f"'1 + 2' if __import__('os').path.exists({mark}) else {kill}",))


@pytest.mark.fault(110, "Q")
def test_a_process_that_dies_while_it_receives_its_item_stops_no_other(tmp_path: Path) -> None:
    deadly = Deadly(tmp_path / "mark")
    results = dict(run_on_scans(eval, [deadly, *"123456"], 2))
    assert results == {deadly: 3, **{digit: int(digit) for digit in "123456"}}


@pytest.mark.fault(110, "Q")
def test_kills_at_any_moment_lose_nothing() -> None:
    rng = random.Random(0)
    items = [f"{number} + 0 * len(str(__import__('time').sleep(0.002)))" for number in range(400)]
    results = []
    for found in run_on_scans(eval, items, 3):
        results.append(found)
        if not len(results) % 10:
            server = psutil.Process(forkserver._forkserver._forkserver_pid)
            time.sleep(rng.uniform(0, 0.01))
            with contextlib.suppress(psutil.Error, IndexError):
                rng.choice(server.children()).kill()
    assert sorted(item for item, _ in results) == sorted(items)
    # A scan whose processes were killed twice is given up.
    for item, result in results:
        assert isinstance(result, ScanError) or result == int(item.split()[0])


@pytest.fixture
def fragile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """File with the number of processes that a kill still ends while they import `fragile`."""
    monkeypatch.setattr("slicewise.imaging.child_processes.pool.START_PAUSES_SECONDS", (0.0, 0.0))
    monkeypatch.syspath_prepend(tmp_path)
    left = tmp_path / "left"
    left.write_text("0")
    (tmp_path / "fragile.py").write_text(FRAGILE)
    yield left
    sys.modules.pop("fragile", None)


@pytest.mark.fault(110, "E")
@pytest.mark.parametrize("deaths", [1, 100])
def test_a_worker_that_is_killed_while_it_starts_is_started_again(
    fragile: Path, deaths: int
) -> None:
    function = importlib.import_module("fragile").double
    fragile.write_text(str(deaths))
    items = list(range(40))
    if deaths == 1:
        assert dict(run_on_scans(function, items, 2)) == {item: 2 * item for item in items}
        return
    with pytest.raises(WorkerError, match="3 tries") as caught:
        list(run_on_scans(function, items, 2))
    assert "ulimit -u" in caught.value.remedy


@pytest.mark.fault(110, "E")
@pytest.mark.parametrize("failures", [1, 100])
def test_a_system_that_is_out_of_processes(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    monkeypatch.setattr("slicewise.imaging.child_processes.pool.START_PAUSES_SECONDS", (0.0, 0.0))
    start, left = ForkServerProcess._Popen, [None] * failures

    def short(process: BaseProcess) -> Any:
        if left:
            left.pop()
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return start(process)

    monkeypatch.setattr(ForkServerProcess, "_Popen", staticmethod(short))
    if failures == 1:
        assert list(run_on_scans(eval, ["3"], 2)) == [("3", 3)]
        return
    with pytest.raises(WorkerError, match="Resource temporarily unavailable"):
        list(run_on_scans(eval, ["3"], 2))


def test_our_own_mistakes_are_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        list(run_on_scans(eval, ["1 / 0"], 1))


def test_more_workers_than_items_and_no_items_at_all() -> None:
    assert list(run_on_scans(eval, ["3"], 8)) == [("3", 3)]
    assert list(run_on_scans(eval, [], 4)) == []


def test_no_workers_are_this_process() -> None:
    items = [MISSING, "__import__('os').getpid()"]
    (_, error), (_, process) = run_on_scans(eval, items, 0)
    assert isinstance(error, ScanError)
    assert process == os.getpid()


@pytest.mark.parametrize("workers", [0, 1])
def test_where_no_scan_may_fail_the_first_fault_ends_the_work(workers: int) -> None:
    assert list(run_on_all_scans(eval, ["3"], workers, SILENT, "counting")) == [("3", 3)]
    with pytest.raises(ScanError, match=r"absent\.nii"):
        list(run_on_all_scans(eval, [MISSING], workers, SILENT, "counting"))


def test_number_of_workers_follows_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, expected in ((1, 1), (3, 3), (64, 8)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        assert default_workers() == expected


def test_a_number_of_workers_is_at_least_one() -> None:
    assert chosen_workers(None) == default_workers()
    assert chosen_workers(3) == 3
    for number in (0, -2):
        with pytest.raises(UsageError, match="`workers`"):
            chosen_workers(number)


@pytest.mark.fault(107, "E")
def test_a_signal_does_not_wait_for_the_workers(tmp_path: Path) -> None:
    mark = tmp_path / "processes"
    sleep = (
        f"(open({str(mark)!r}, 'a').write(str(__import__('os').getpid()) + '\\n'), "
        "__import__('time').sleep(60))"
    )

    def terminate() -> None:
        while not mark.exists() or len(mark.read_text().split()) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        begun.append(time.monotonic())

    def work() -> None:
        with interruptible():
            dict(run_on_scans(eval, [sleep, f"{sleep} "], 2))

    begun: list[float] = []
    threading.Thread(target=terminate, daemon=True).start()
    with pytest.raises(InterruptedBySignal):
        work()
    assert time.monotonic() - begun[0] < 4
    for process in map(int, mark.read_text().split()):
        assert not psutil.pid_exists(process) or psutil.Process(process).status() == "zombie"
