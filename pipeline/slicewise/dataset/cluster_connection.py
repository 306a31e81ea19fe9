"""The connection to a Dask scheduler, and why there is none."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicewise.errors import WorkerError, file_problem

if TYPE_CHECKING:
    from distributed import Client

ANSWER_SECONDS = 10.0
WORKERS_SECONDS = 120.0
"""For all workers to answer; loading the libraries from a network disk is slow."""
_CERTIFICATE_FILES = ("ca-file", "client.cert", "client.key")
"""Below ``distributed.comm.tls`` in Dask's configuration."""


@contextmanager
def connected(address: str, given: str) -> Iterator[Client]:
    """A client of the scheduler at an address; what it has submitted ends with it.

    Args:
        address: as Dask takes it.
        given: the address as the user has written it.

    Raises:
        WorkerError: Dask is not installed, or the scheduler does not answer in time.
    """
    distributed = _library()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        if address.startswith("tls://"):
            _require_certificates()
        _knock(address)
        client = distributed.Client(
            address, timeout=ANSWER_SECONDS, set_as_default=False, name="slicewise"
        )
    # Of TLS, of the network, of Dask's own protocol.
    except Exception as error:
        raise WorkerError(
            f"`cluster` {given}",
            expected=f"a Dask scheduler that answers within {ANSWER_SECONDS:g} s",
            found=_problem(error),
            remedy="start it (`dask scheduler`), or correct the address; for tls:// see "
            "docs/cluster.md",
        ) from error
    try:
        yield client
    finally:
        # What waits is cancelled with its client; Dask logs what it meets on the way.
        with suppress(Exception):
            client.close(timeout=2)


def answered(client: Client, question: Callable[[], Any], given: str) -> Any:
    """What the workers answer to a question that the client puts to all of them.

    Args:
        client: of the scheduler.
        question: calls a method of the client.
        given: the address as the user has written it.

    Raises:
        WorkerError: some do not answer in time.
    """
    try:
        return client.sync(question, callback_timeout=WORKERS_SECONDS)
    except TimeoutError as error:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        silent = min(workers, key=lambda name: workers[name]["last_seen"])
        raise WorkerError(
            f"worker {silent} of `cluster` {given}",
            expected=f"an answer within {WORKERS_SECONDS:g} s",
            found="no answer",
            remedy="end that worker and start it again, see the log of `dask worker`",
        ) from error


class _UnusableError(Exception):
    """Something that was found in place of a connection; the message is a noun phrase."""


def _library() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise WorkerError(
            "`cluster`",
            expected="the package distributed",
            found="it is not installed",
            remedy="pip install 'slicewise[cluster]'",
        ) from error
    return distributed


def _require_certificates() -> None:
    """Require that the certificates of this machine can be read and have not expired.

    Raises:
        _UnusableError: they are missing, or have expired.
    """
    import dask

    for key in _CERTIFICATE_FILES:
        name = dask.config.get(f"distributed.comm.tls.{key}", None)
        if name is None:
            raise _UnusableError(f"no file distributed.comm.tls.{key} in Dask's configuration")
        # Dask takes the text of a certificate, too.
        if "\n" in name:
            continue
        path = Path(name)
        try:
            path.read_bytes()
        except OSError as error:
            raise _UnusableError(
                f"the certificate {path}, which cannot be read: {file_problem(error)}"
            ) from error
        if key == "ca-file":
            _require_valid(path)


def _require_valid(path: Path) -> None:
    """Require that certificates of a file are valid now; a file without any is left to Dask."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with suppress(ssl.SSLError):
        context.load_verify_locations(path)
    for certificate in context.get_ca_certs():
        end = str(certificate["notAfter"])
        if ssl.cert_time_to_seconds(end) < time.time():
            raise _UnusableError(f"the certificate {path}, which expired on {end}")


def _knock(address: str) -> None:
    """Ask for the scheduler: a client that finds none is in the way for half a minute.

    Raises:
        TimeoutError: nobody answers, or somebody who does not speak as Dask does.
        _UnusableError: another program of Dask answers.
    """
    from distributed.comm import connect
    from distributed.core import send_recv
    from distributed.security import Security
    from distributed.utils import LoopRunner

    async def identity() -> Any:
        arguments = Security().get_connection_args("client")
        # The time limit of ``connect`` leaves out the greeting, which another server never answers;
        # it is the first to end, as only its error tells why there is no connection.
        async with asyncio.timeout(ANSWER_SECONDS):
            connection = await connect(address, timeout=0.9 * ANSWER_SECONDS, **arguments)
            try:
                return await send_recv(connection, op="identity")
            finally:
                connection.abort()

    loop = LoopRunner()
    loop.start()
    try:
        known = loop.run_sync(identity)
    finally:
        loop.stop()
    if "workers" not in known:
        raise _UnusableError(f"the address of a {known['type'].lower()}")


def _problem(error: Exception) -> str:
    """Why no connection was made, in one line."""
    if isinstance(error, _UnusableError):
        return str(error)
    text = " ".join(str(link) for link in (error, error.__cause__) if link).lower()
    if "wrong_version_number" in text:
        return "a scheduler without encryption"
    if "encryption required" in text:
        return "no encryption, which Dask's configuration on this machine requires"
    # "TLS" alone stands in addresses, and in the name of Dask's connector.
    if any(word in text for word in ("certificate", "ssl:", "[ssl]", "ssl_context")):
        return "certificates that are damaged, expired or not accepted"
    return "no answer"
