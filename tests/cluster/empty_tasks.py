"""Measures how many tasks a Dask scheduler can hand out: those of this script do nothing.

    python tests/cluster/empty_tasks.py --tasks 100000 --workers 2

Tasks go through ``run_on_scans``, as scans do. Processor time of the scheduler and of the command
does not depend on other programs of the machine; its inverse is what they can do at most.
"""

from __future__ import annotations

import argparse
import operator
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from slicewise.dataset.cluster import Cluster
from slicewise.dataset.workers import run_on_scans

REPORTS = 5
DASK = (sys.executable, "-m", "distributed.cli.dask_scheduler")
WORKER = (
    *(sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1"),
    *("--no-dashboard", "--memory-limit", "0"),
)


@contextmanager
def a_scheduler(folder: Path, workers: int) -> Iterator[tuple[str, psutil.Process]]:
    """Address and process of a scheduler with workers of one thread."""
    file = folder / "scheduler.json"
    place = ("--scheduler-file", str(file))
    quiet = {**os.environ, "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "error"}
    started = [
        subprocess.Popen([*DASK, *place, "--host", "127.0.0.1", "--port", "0"], env=quiet),
        subprocess.Popen(
            [*WORKER, *place, "--nworkers", str(workers), "--local-directory", str(folder)],
            env=quiet,
        ),
    ]
    try:
        from distributed import Client

        with Client(scheduler_file=str(file), timeout=120, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=120)
            address = client.scheduler.address
        yield address, psutil.Process(started[0].pid)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    with (
        TemporaryDirectory() as folder,
        a_scheduler(Path(folder), asked.workers) as (address, scheduler),
    ):
        both, begun = (scheduler, psutil.Process()), time.monotonic()
        before, each = [cpu_seconds(process) for process in both], asked.tasks // REPORTS
        done = run_on_scans(operator.neg, range(asked.tasks), Cluster(address))
        for number, (item, result) in enumerate(done, start=1):
            assert item == -result
            if number % each:
                continue
            seconds = time.monotonic() - begun
            took = [cpu_seconds(one) - start for one, start in zip(both, before, strict=True)]
            milliseconds = [1e3 * one / number for one in took]
            memory = [one.memory_info().rss / 1e6 for one in both]
            sys.stdout.write(
                f"{number:,} tasks, {number / seconds:.0f} a second; scheduler "
                f"{milliseconds[0]:.2f} ms a task, {memory[0]:.0f} MB; command "
                f"{milliseconds[1]:.2f} ms, {memory[1]:.0f} MB\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
