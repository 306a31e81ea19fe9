"""What the coming steps need, made by a background thread before they ask for it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Made = TypeVar("Made")


class MadeAhead(Generic[Made]):
    """Keeps ready what the next steps need.

    It depends on the step alone, so that it is the same without the thread.

    Args:
        make: what a step needs.
        count: of steps ahead.
    """

    def __init__(self, make: Callable[[int], Made], count: int = 2) -> None:
        self._make, self._count = make, count
        self._thread = ThreadPoolExecutor(1, "ahead")
        self._coming: dict[int, Future[Made]] = {}

    def of_step(self, step: int) -> Made:
        """What a step needs; errors of making it are raised here."""
        wanted = range(step, step + 1 + self._count)
        # A training that is resumed goes on elsewhere.
        for other in self._coming.keys() - set(wanted):
            self._coming.pop(other).cancel()
        for number in wanted:
            if number not in self._coming:
                self._coming[number] = self._thread.submit(self._make, number)
        return self._coming.pop(step).result()
