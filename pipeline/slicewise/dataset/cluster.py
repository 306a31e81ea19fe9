"""Applies functions to scans on the workers of a Dask cluster, see docs/cluster.md.

Dask's scheduler runs the code of whoever reaches it: a connection to another machine is encrypted
and both sides show certificates, unless the address says otherwise.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Generator, Iterable
from contextlib import chdir, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from slicewise.dataset import cluster_connection
from slicewise.dataset.cluster_connection import answered, connected
from slicewise.dataset.cluster_futures import Submitted, each_completed
from slicewise.dataset.path_states import paths_in, states_of
from slicewise.errors import UsageError, WorkerError, file_problem
from slicewise.imaging.child_processes.child import ChildEndedError
from slicewise.interruption import uninterrupted

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Result = TypeVar("Result")

UNPROTECTED = "insecure+"
"""Before the address of a scheduler on another machine that is reached without TLS."""
_SCHEMES = ("tcp://", "tls://")
_SUBMITTED_PER_WORKER = 4
"""More keeps the workers no busier; a million tasks would fill the scheduler."""
_COMPARED = ("slicewise", "torch", "monai")
"""Packages whose versions decide about results."""


@dataclass(frozen=True)
class Reports:
    """What becomes of events that workers log while they work.

    Attributes:
        topic: of the events.
        hear: receives each of them, in another thread.
        leave: called before the connection ends early, when everything has been cancelled.
    """

    topic: str
    hear: Callable[[Any], None]
    leave: Callable[[], None]


@dataclass(frozen=True)
class Cluster:
    """The workers of a running Dask scheduler.

    Args:
        address: such as ``tcp://127.0.0.1:8786``, ``tls://host:8786`` or
            ``insecure+tcp://host:8786``.

    Raises:
        UsageError: no such address, or one of another machine without TLS.
    """

    address: str

    def __post_init__(self) -> None:
        plain = self._plain
        host, _, port = plain.partition("://")[2].rpartition(":")
        if not plain.startswith(_SCHEMES) or not host or not port.isdecimal():
            raise UsageError(
                f"`cluster` {self.address}".rstrip(),
                expected="a number of processes, or the address of a Dask scheduler, such as "
                "tls://HOST:8786",
                found="another text" if self.address.strip() else "a blank text",
                remedy="copy the address that `dask scheduler` shows",
            )
        if plain == self.address and plain.startswith("tcp://") and not _is_loopback(host):
            raise UsageError(
                f"`cluster` {self.address}",
                expected="an encrypted connection (tls://) to a scheduler on another machine",
                found="tcp://, by which anybody in the network can run programs on the workers",
                remedy="give the scheduler certificates, see docs/cluster.md, or write "
                f"{UNPROTECTED}{plain} if all who reach it may do that",
            )

    def each(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        at_once: int | None = None,
        reports: Reports | None = None,
    ) -> Generator[tuple[Item, Result | ChildEndedError]]:
        """Results as they complete.

        Args:
            function: importable by name on the workers.
            items: are pickled; files that they name are found there by the same paths.
            at_once: most items that are worked on at a time; None keeps all workers busy.
            reports: what becomes of events that the workers log meanwhile.

        Raises:
            WorkerError: the cluster does not answer, or it cannot be used from here.
            Exception: raised by the function.
        """
        waiting = iter(items)
        # Without work there is nothing to connect for.
        for first in islice(waiting, 1):
            with connected(self._plain, self.address) as client:
                workers = _usable_workers(client, self.address)
                here = Path.cwd()
                _require_same_files(client, (here, first), self.address)
                if reports is not None:
                    client.subscribe_topic(reports.topic, lambda event: reports.hear(event[1]))
                submitted = Submitted(client, partial(_call_in, here, function))
                most = at_once or _SUBMITTED_PER_WORKER * workers
                try:
                    yield from each_completed(submitted, first, waiting, most, self.address)
                except BaseException:
                    if reports is not None:
                        with uninterrupted():
                            submitted.cancel()
                            reports.leave()
                    raise

    @property
    def _plain(self) -> str:
        return self.address.removeprefix(UNPROTECTED)


def _call_in(folder: Path, function: Callable[[Item], Result], item: Item) -> Result:
    """Call a function where its caller is, as paths may be relative.

    Raises:
        WorkerError: a file or disk of this machine fails, which may be no other machine's.
    """
    try:
        with chdir(folder):
            return function(item)
    except OSError as error:
        raise WorkerError(
            f"{error.filename or 'a file'} on the worker {socket.gethostname()}",
            expected="files that can be read and written there",
            found=file_problem(error),
            remedy="correct that on this machine, or end its workers, and repeat the command; what "
            "is finished is kept",
        ) from error


def _usable_workers(client: Client, address: str) -> int:
    """Number of workers, all of which have the versions of this process."""
    # Those that have died are started again, which takes a moment.
    with suppress(TimeoutError):
        client.wait_for_workers(1, timeout=cluster_connection.ANSWER_SECONDS)
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not workers:
        raise WorkerError(
            f"`cluster` {address}",
            expected="a cluster with workers",
            found="a scheduler without any",
            remedy=f"start some: dask worker {address} --nthreads 1",
        )
    threads = max(worker["nthreads"] for worker in workers.values())
    if threads > 1:
        raise WorkerError(
            f"`cluster` {address}",
            expected="workers of one thread: the memory of each scan is limited by process",
            found=f"workers of {threads} threads",
            remedy="start them with --nthreads 1, and several of them with --nworkers",
        )
    versions = answered(client, lambda: client.get_versions(packages=_COMPARED), address)
    ours = versions["client"]["packages"]
    for worker, known in versions["workers"].items():
        theirs = known["packages"]
        for name in ("python", *_COMPARED):
            if theirs[name] != ours[name]:
                raise WorkerError(
                    f"worker {worker}",
                    expected=f"{name} {ours[name]}, as here",
                    found=f"{name} {theirs[name]}" if theirs[name] else f"no {name}",
                    remedy="install the same versions on all machines",
                )
    return len(workers)


def _require_same_files(client: Client, item: object, address: str) -> None:
    """Require that all workers see the files and folders of an item as this process does."""
    paths = paths_in(item)
    ours = states_of(paths)
    answers = answered(client, lambda: client.run(states_of, paths), address)
    for worker, theirs in answers.items():
        for path, state in ours.items():
            if theirs[path] is None or not theirs[path].may_be(state):
                raise WorkerError(
                    f"worker {worker} of `cluster` {address}",
                    expected=f"{path}, as it is here",
                    found="another one" if theirs[path] else "no such path",
                    remedy="put scans, results and the `work` folder on a disk that all machines "
                    "see by the same path",
                )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
