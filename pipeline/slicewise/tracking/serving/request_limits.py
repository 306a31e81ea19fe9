"""Limits on the requests to MLflow's scoring server: their host, size, number and time.

The scoring server has none of these, and it answers errors with stack traces. Starlette's
middleware checks host and size; every refusal is answered with an error in four parts.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slicewise.errors import SlicewiseError, UsageError

_log = logging.getLogger(__name__)

INVOCATIONS = "/invocations"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_QUEUED_PER_PREDICTION = 8
_LONGEST_TEXT = 300

model_errors: ContextVar[list[SlicewiseError]] = ContextVar("model_errors")
"""Errors that the model raised during the present request."""


@dataclass(frozen=True)
class Limits:
    """Limits of a request.

    Attributes:
        max_megabytes: largest body, in 10^6 bytes.
        timeout_seconds: longest wait for a free slot, and longest prediction.
        at_once: concurrent predictions; further requests queue.
        hosts: names and addresses under which clients may call the service.

    Raises:
        UsageError: a wildcard among the hosts.
    """

    max_megabytes: float = 64
    timeout_seconds: float = 120
    at_once: int = 2
    hosts: frozenset[str] = LOOPBACK

    def __post_init__(self) -> None:
        for host in self.hosts:
            # Starlette would take * for every host.
            if "*" in host:
                raise UsageError(
                    "host names",
                    expected="whole names, such as segmentation.example.org",
                    found=host,
                    remedy="list each name by which clients call the service",
                )


class _Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, error: SlicewiseError) -> None:
        super().__init__(status, error)
        self.status, self.error = status, error

    def response(self) -> Response:
        """The error as JSON."""
        parts = {key: getattr(self.error, key) for key in ("where", "expected", "found", "remedy")}
        content = {"message": str(self.error), "error": parts}
        headers = {"retry-after": "5"} if self.status == 503 else None
        return JSONResponse(content, self.status, headers)


class RequestLimiter:
    """An ASGI application that limits the requests to another one.

    Args:
        application: MLflow's scoring server.
        limits: of each request.
    """

    def __init__(self, application: ASGIApp, limits: Limits) -> None:
        self._application = application
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.at_once)
        self._queued = 0
        # The event loop keeps only weak references to its tasks.
        self._running: set[asyncio.Task[Response]] = set()
        sized = RequestBodyLimitMiddleware(self._route, int(limits.max_megabytes * 1e6))
        hosts = [f"[{host}]" if ":" in host else host for host in limits.hosts]
        self._limited = TrustedHostMiddleware(sized, hosts, www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        try:
            response = await _collected(self._limited, scope, receive)
            if response.status_code == 413:
                raise self._too_large()
            if response.body == b"Invalid host header":
                raise self._foreign("host", Headers(scope=scope).get("host", ""))
        except _Refused as refused:
            response = refused.response()
        await response(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        # A page of another site may let a browser send requests to this service.
        if origin is not None and urlsplit(origin).hostname not in self._limits.hosts:
            raise self._foreign("origin", origin)
        if scope["path"] != INVOCATIONS:
            await self._application(scope, receive, send)
            return
        content_type = headers.get("content-type", "none")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            where, remedy = "header content-type", "send JSON, with this content type"
            raise _refusal(415, where, "application/json", content_type, remedy)
        body = await self._queue(Request(scope, receive))
        await (await self._predict(scope, body))(scope, receive, send)

    async def _queue(self, request: Request) -> bytes:
        """Wait for the body and for a free slot."""
        limits = self._limits
        if self._queued >= _QUEUED_PER_PREDICTION * limits.at_once:
            raise _busy("too many requests wait already")
        self._queued += 1
        try:
            async with asyncio.timeout(limits.timeout_seconds):
                body = await request.body()
                await self._slots.acquire()
        except TimeoutError:
            raise _busy(f"no free slot within {limits.timeout_seconds:g} s") from None
        except ClientDisconnect:
            raise _Refused(400, _wrong_request("a body that was cut off")) from None
        finally:
            self._queued -= 1
        return body

    async def _predict(self, scope: Scope, body: bytes) -> Response:
        """Wait for the prediction, but not longer than the limit.

        A prediction that has begun cannot be stopped; it keeps its slot until it ends.
        """
        task = asyncio.create_task(_predicted(self._application, scope, body))
        self._running.add(task)
        task.add_done_callback(self._release)
        done, _ = await asyncio.wait({task}, timeout=self._limits.timeout_seconds)
        if not done:
            raise _busy(f"no answer within {self._limits.timeout_seconds:g} s")
        return task.result()

    def _release(self, task: asyncio.Task[Response]) -> None:
        self._running.discard(task)
        self._slots.release()

    def _too_large(self) -> _Refused:
        return _refusal(
            413,
            "request",
            f"at most {self._limits.max_megabytes:g} MB",
            "a larger body",
            "send fewer scans at once; `slicewise serve --max-megabytes` raises the limit",
        )

    def _foreign(self, header: str, found: str) -> _Refused:
        return _refusal(
            403,
            f"header {header}",
            f"one of {', '.join(sorted(self._limits.hosts))}",
            found or "none",
            "call the service by its own address; `slicewise serve --name` permits another",
        )


async def _collected(application: ASGIApp, scope: Scope, receive: Receive) -> Response:
    """The whole answer of an application."""
    response = Response()
    parts: list[bytes] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            response.status_code = message["status"]
            response.raw_headers = list(message.get("headers", ()))
        parts.append(message.get("body", b""))

    await application(scope, receive, send)
    response.body = b"".join(parts)
    return response


async def _predicted(application: ASGIApp, scope: Scope, body: bytes) -> Response:
    """The answer of the scoring server, its errors in four parts."""
    found: list[SlicewiseError] = []
    model_errors.set(found)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        response = await _collected(application, scope, receive)
    except RecursionError:
        raise _Refused(400, _wrong_request("brackets nested too deeply")) from None
    except Exception:
        # The client learns that there was a fault, the log learns which.
        _log.exception("a request failed")
        response = Response(status_code=500)
    if response.status_code < 400:
        return response
    if found:
        raise _Refused(400, found[0])
    raise _Refused(response.status_code, _mlflow_error(response))


def _mlflow_error(response: Response) -> SlicewiseError:
    """MLflow's message without its stack trace and without the data."""
    if response.status_code >= 500:
        return SlicewiseError(
            "request",
            expected="an answer",
            found="an internal error of the service",
            remedy="its log says more; report it with the version",
        )
    content = bytes(response.body)
    try:
        text = str(json.loads(content)["message"])
    except (ValueError, LookupError, TypeError):
        text = content.decode("utf-8", "replace")
    first = (text.strip().splitlines() or ["nothing"])[0]
    return _wrong_request(first[:_LONGEST_TEXT])


def _wrong_request(found: str) -> SlicewiseError:
    return UsageError(
        "request",
        expected='{"dataframe_records": [{"nifti": "..."}]}, a file in base64',
        found=found,
        remedy="see the example in docs/serving.md, or the input example of the model",
    )


def _refusal(status: int, where: str, expected: str, found: str, remedy: str) -> _Refused:
    return _Refused(status, UsageError(where, expected=expected, found=found, remedy=remedy))


def _busy(found: str) -> _Refused:
    return _refusal(503, "service", "a free slot and an answer in time", found, "try again later")
