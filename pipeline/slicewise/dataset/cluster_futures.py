"""Items that the workers of a Dask cluster have, and their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from slicewise.errors import WorkerError
from slicewise.imaging.child_processes.child import ChildEndedError

if TYPE_CHECKING:
    from distributed import Client, Future

Item = TypeVar("Item")


class Submitted:
    """The items that the workers have and whose results are not there yet."""

    def __init__(self, client: Client, function: Callable[[Any], Any]) -> None:
        self.client, self._function = client, function
        self._waiting: dict[object, tuple[Any, Future[Any]]] = {}

    def add(self, item: object) -> Future[Any]:
        """Submit an item."""
        future = self.client.submit(self._function, item, pure=False)
        self._waiting[future.key] = item, future
        return future

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
    """Results as they complete; as many items are submitted as are worked on at once."""
    from distributed import as_completed

    done: Any = as_completed(
        [submitted.add(item) for item in (first, *islice(rest, at_once - 1))],
        loop=submitted.client.loop,
    )
    for future in done:
        item = submitted.item_of(future)
        result = _result(future, address)
        for following in islice(rest, 1):
            done.add(submitted.add(following))
        yield item, result


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
