"""Items that the workers of a Dask cluster have, and their results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from slicewise.errors import WorkerError
from slicewise.imaging.child_processes.child import ChildEndedError

if TYPE_CHECKING:
    from distributed import Client, Future

Item = TypeVar("Item")

SECONDS_WITHOUT_WORKERS = 120.0
"""What has died is started again by `dask worker` within seconds."""
_SECONDS_BETWEEN_LOOKS = 5.0


class Submitted:
    """The items that the workers have and whose results are not there yet."""

    def __init__(self, client: Client, function: Callable[[Any], Any]) -> None:
        self.client, self._function = client, function
        self._waiting: dict[object, tuple[Any, Future[Any]]] = {}

    def add(self, items: Sequence[object]) -> list[Future[Any]]:
        """Submit items together, which costs the scheduler less than one after the other."""
        futures = self.client.map(self._function, items, pure=False)
        self._waiting.update(
            (future.key, (item, future)) for item, future in zip(items, futures, strict=True)
        )
        return futures

    def item_of(self, future: Future[Any]) -> Any:
        """The item of a future that is done."""
        item, _ = self._waiting.pop(future.key)
        return item

    def cancel(self) -> None:
        """Nobody waits for the results any more."""
        self.client.cancel([future for _, future in self._waiting.values()])


def each_completed(
    submitted: Submitted, first: Item, rest: Iterator[Item], at_once: int, address: str
) -> Iterator[tuple[Item, Any]]:
    """Results as they complete; as many items are submitted as are worked on at once.

    Raises:
        WorkerError: the scheduler has ended, or has lost all its workers.
    """
    from distributed import as_completed

    some = [first, *islice(rest, at_once - 1)]
    done: Any = as_completed(submitted.add(some), loop=submitted.client.loop)
    for futures in _batches(done, submitted.client, address):
        results = [(submitted.item_of(future), _result(future, address)) for future in futures]
        if following := list(islice(rest, len(results))):
            done.update(submitted.add(following))
        yield from results


def _batches(done: Any, client: Client, address: str) -> Iterator[list[Future[Any]]]:
    """Futures that are done, as long as somebody works on the others."""
    looked = with_workers = time.monotonic()
    while not done.is_empty():
        if done.has_ready():
            yield done.next_batch()
            looked = with_workers = time.monotonic()
            continue
        with done.thread_condition:
            # Not longer: a future may have been ready before this waits.
            done.thread_condition.wait(timeout=0.1)
        now = time.monotonic()
        if now - looked < min(_SECONDS_BETWEEN_LOOKS, SECONDS_WITHOUT_WORKERS):
            continue
        looked = now
        if client.scheduler_info(n_workers=1)["workers"]:
            with_workers = now
        elif now - with_workers >= SECONDS_WITHOUT_WORKERS:
            raise WorkerError(
                f"`cluster` {address}",
                expected="workers until the work is done",
                found=f"none for {SECONDS_WITHOUT_WORKERS:g} s",
                remedy="see the logs of `dask worker`, start some, and repeat the command; what is "
                "finished is kept",
            )


def _result(future: Future[Any], address: str) -> Any:
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    try:
        return future.result()
    except KilledWorker:
        return ChildEndedError("ended, perhaps because memory ran out")
    except FutureCancelledError as error:
        raise WorkerError(
            f"`cluster` {address}",
            expected="a scheduler that runs until the work is done",
            found="one that has ended",
            remedy="start it again, and repeat the command; what is finished is kept",
        ) from error
