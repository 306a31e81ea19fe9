"""What the coming steps need, made by background threads before they ask for it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Made = TypeVar("Made")


class MadeAhead(Generic[Made]):
    """Keeps ready what the next steps need.

    It depends on the step alone, so that it is the same without the threads. Each of them makes
    what one step needs: a disk answers several requests in about the time of one.

    Args:
        make: what a step needs.
        count: of steps ahead, and of threads.
    """

    def __init__(self, make: Callable[[int], Made], count: int = 4) -> None:
        self._make, self._count = make, count
        self._threads = ThreadPoolExecutor(count, "ahead")
        self._coming: dict[int, Future[Made]] = {}

    def of_step(self, step: int) -> Made:
        """What a step needs; errors of making it are raised here."""
        wanted = range(step, step + 1 + self._count)
        # A training that is resumed goes on elsewhere.
        for other in self._coming.keys() - set(wanted):
            self._coming.pop(other).cancel()
        for number in wanted:
            if number not in self._coming:
                self._coming[number] = self._threads.submit(self._make, number)
        return self._coming.pop(step).result()
