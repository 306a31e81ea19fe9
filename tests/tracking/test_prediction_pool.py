"""Work of a child process ends with the task that waits for it, and children are replaced."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from slicewise.errors import ScanError, WorkerError
from slicewise.imaging.child_processes import pool as pool_of_children
from slicewise.imaging.child_processes.child import ChildEndedError
from slicewise.tracking.serving.prediction_pool import PredictionPool

MISSING = (
    "__import__('slicewise.imaging.nifti.reading', fromlist=['x'])"
    ".read_nifti(__import__('pathlib').Path('absent.nii'))"
)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[PredictionPool]:
    """One child."""
    monkeypatch.setattr(pool_of_children, "START_PAUSES_SECONDS", (0.0, 0.0))
    pool = PredictionPool(1, gc.disable)
    yield pool
    pool.close()


async def is_gone(process_id: int) -> bool:
    """Whether a process ends soon."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(process_id)
        await asyncio.to_thread(process.wait, 10)
    return not psutil.pid_exists(process_id)


@pytest.mark.fault(118, "E")
def test_a_child_is_used_again_and_ended_with_its_task(pool: PredictionPool) -> None:
    async def work() -> None:
        first = await pool.run(os.getpid)
        assert await pool.run(os.getpid) == first
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await pool.run(time.sleep, 60)
        assert await is_gone(first)
        assert await pool.run(os.getpid) != first

    asyncio.run(work())


def test_errors_arrive_and_a_death_is_told(pool: PredictionPool) -> None:
    async def work() -> None:
        with pytest.raises(ScanError, match=r"absent\.nii"):
            await pool.run(eval, MISSING)
        with pytest.raises(RuntimeError, match="mine"):
            await pool.run(exec, "raise RuntimeError('mine')")
        with pytest.raises(ChildEndedError, match="died of SIGSEGV"):
            await pool.run(signal.raise_signal, signal.SIGSEGV)
        assert await pool.run(eval, "1 + 1") == 2

    asyncio.run(work())


def test_a_child_that_died_between_two_calls_is_replaced(pool: PredictionPool) -> None:
    async def work() -> None:
        first = await pool.run(os.getpid)
        os.kill(first, signal.SIGKILL)
        assert await is_gone(first)
        await asyncio.sleep(0.3)
        assert await pool.run(os.getpid) != first

    asyncio.run(work())


@pytest.mark.fault(110, "E")
def test_children_that_never_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_of_children, "START_PAUSES_SECONDS", (0.0, 0.0))
    pool = PredictionPool(1, importlib.import_module, ["no_such_module"])
    with pytest.raises(WorkerError, match="3 tries"):
        pool.start()
    pool.close()
