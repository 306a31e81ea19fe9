"""Answers HTTP requests to a model: one prediction a request, within limits of size and time."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from slicewise.errors import ScanError, UsageError, WorkerError
from slicewise.imaging.child_processes.child import ChildEndedError
from slicewise.tracking.request_scans import DEFAULT_MEGAVOXELS
from slicewise.tracking.serving.host_guard import LOOPBACK
from slicewise.tracking.serving.refusals import RefusedError, busy, internal_error, refusal
from slicewise.tracking.serving.uploads import Uploads

_log = logging.getLogger(__name__)

INVOCATIONS = "/invocations"
_QUEUED_PER_PREDICTION = 8
_TRIES = 2
Done = TypeVar("Done")


@dataclass(frozen=True)
class Limits:
    """Limits of a request.

    Attributes:
        max_megabytes: largest body, in 10^6 bytes.
        max_megavoxels: largest scan, in 10^6 voxels.
        max_memory_gigabytes: memory of a prediction, in 10^9 bytes; None takes what is free.
        timeout_seconds: longest upload, longest wait for a free place, and longest prediction.
        at_once: concurrent predictions; further requests queue.
        hosts: names and addresses under which clients may call the service.

    Raises:
        UsageError: a wildcard among the hosts.
    """

    max_megabytes: float = 64
    max_megavoxels: float = DEFAULT_MEGAVOXELS
    max_memory_gigabytes: float | None = None
    timeout_seconds: float = 120
    at_once: int = 2
    hosts: frozenset[str] = LOOPBACK

    def __post_init__(self) -> None:
        for host in self.hosts:
            if "*" in host:
                raise UsageError(
                    "host names",
                    expected="whole names, such as segmentation.example.org",
                    found=host,
                    remedy="list each name by which clients call the service",
                )


class Scoring(Protocol):
    """Answers the body of a request."""

    async def answer(self, body: Path) -> bytes:
        """The answer as JSON; cancelling this ends the prediction.

        Raises:
            SlicewiseError: the request or a scan cannot be used.
            ChildEndedError: the process of the prediction ended.
        """


class _ClientGoneError(Exception):
    """The client has closed the connection."""


class RequestLimiter:
    """An ASGI application that answers requests to a model.

    Args:
        scoring: of the model.
        limits: of each request.
        folder: takes the bodies of requests until they are answered.
        texts: path to what a GET of it answers.
    """

    def __init__(
        self, scoring: Scoring, limits: Limits, folder: Path, texts: Mapping[str, str]
    ) -> None:
        self._scoring = scoring
        self._limits = limits
        self._folder = folder
        self._texts = texts
        self._uploads = Uploads(int(limits.max_megabytes * 1e6), limits.timeout_seconds)
        self._places = asyncio.Semaphore(limits.at_once)
        self._present = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            response = await self._response(Request(scope, receive))
        except RefusedError as refused:
            response = refused.response()
        except _ClientGoneError:
            return
        except Exception:
            # The client learns that there was a fault, the log learns which.
            _log.exception("a request failed")
            response = internal_error().response()
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        path, method = request.url.path, request.method
        if path in self._texts:
            _require_method(method, ("GET", "HEAD"))
            return PlainTextResponse(self._texts[path])
        if path != INVOCATIONS:
            raise refusal(
                404,
                "address",
                expected=" or ".join((INVOCATIONS, *self._texts)),
                found="another one",
                remedy="correct the address that the program calls",
            )
        _require_method(method, ("POST",))
        _require_json(request)
        with self._place_for_files() as folder:
            body = folder / "body.json"
            await self._uploads.receive(request, body)
            return Response(await self._answer(request, body), media_type="application/json")

    @contextmanager
    def _place_for_files(self) -> Iterator[Path]:
        try:
            folder = Path(tempfile.mkdtemp(dir=self._folder))
        except OSError:
            raise busy("no space for another request") from None
        try:
            yield folder
        finally:
            # A prediction that is ended may write until it is.
            shutil.rmtree(folder, ignore_errors=True)

    async def _answer(self, request: Request, body: Path) -> bytes:
        limits = self._limits
        if self._present >= (1 + _QUEUED_PER_PREDICTION) * limits.at_once:
            raise busy("too many requests wait already")
        seconds = f"within {limits.timeout_seconds:g} s"
        self._present += 1
        try:
            await self._in_time(request, self._places.acquire(), f"no free place {seconds}")
            try:
                return await self._in_time(request, self._predicted(body), f"no answer {seconds}")
            finally:
                self._places.release()
        except (UsageError, ScanError) as error:
            raise RefusedError(400, error) from None
        except WorkerError as error:
            _log.exception("predictions cannot be started")
            raise busy("no process for predictions can be started") from error
        finally:
            self._present -= 1

    async def _predicted(self, body: Path) -> bytes:
        how = ""
        for _ in range(_TRIES):
            try:
                return await self._scoring.answer(body)
            except ChildEndedError as error:
                # The system may have ended it for the memory that a neighbour took.
                how = str(error)
        raise ScanError(
            "request",
            expected="scans that can be segmented within the limits of memory",
            found=f"{_TRIES} processes that {how}",
            remedy="check the scans; they are damaged or too large",
        )

    async def _in_time(self, request: Request, work: Coroutine[Any, Any, Done], late: str) -> Done:
        """Wait for work; end it when its time is over or its client gone."""
        working = asyncio.create_task(work)
        watching = asyncio.create_task(_disconnection(request))
        try:
            await asyncio.wait(
                {working, watching},
                timeout=self._limits.timeout_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if working.done():
                return working.result()
            raise _ClientGoneError if watching.done() else busy(late)
        finally:
            working.cancel()
            watching.cancel()


async def _disconnection(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _require_method(method: str, permitted: tuple[str, ...]) -> None:
    if method not in permitted:
        raise refusal(
            405,
            "method",
            expected=permitted[0],
            found="another one",
            remedy="see the example in docs/serving.md",
        )


def _require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise refusal(
            415,
            "header content-type",
            expected="application/json",
            found="another one" if kind else "no such header",
            remedy="send JSON, with this content type",
        )
