"""Tasks on training cases in, their results out, in worker processes and behind a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from slicewise.dataset.worker_pool import run_on_scans
from slicewise.errors import ScanError

Task = TypeVar("Task")
Result = TypeVar("Result")

_FRACTION = 2.0**20


@dataclass(frozen=True)
class WorkerPool:
    """How work on the cases is done.

    Attributes:
        workers: processes.
        folder: for what they share; whoever made it removes it.
        tracked: passes items on and shows their count: items, description, total.
    """

    workers: int
    folder: Path
    tracked: Callable[[Iterable[Any], str, int], Iterator[Any]]

    def each(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], description: str
    ) -> Iterator[tuple[Task, Result]]:
        """Results in the order of completion.

        Raises:
            ScanError: of the first task that fails; no case is left out silently.
        """
        done = run_on_scans(function, tasks, self.workers)
        for task, result in self.tracked(done, description, len(tasks)):
            if isinstance(result, ScanError):
                raise result
            yield task, result


def exact(values: NDArray[Any]) -> NDArray[np.float64]:
    """Values as binary fractions, whose sum is the same in whatever order tasks complete."""
    rounded: NDArray[np.float64] = np.rint(values.astype(np.float64) * _FRACTION) / _FRACTION
    return rounded
