"""Requests in; what passes the limits goes on to the scoring server, all else is refused in words.

MLflow's scoring server has no limit of size or number, knows no foreign hosts, and answers errors
with stack traces. This ASGI application stands before it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from slicewise.errors import SlicewiseError, UsageError

_log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

INVOCATIONS = "/invocations"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_WAITING_FOR_EACH = 8
_LONGEST_TEXT = 300

faults: ContextVar[list[SlicewiseError]] = ContextVar("faults")
"""Of the request that is answered: errors that its model has raised."""


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    Attributes:
        max_megabytes: of a request's body, in 10^6 bytes.
        timeout_seconds: from its first byte to its answer.
        at_once: predictions side by side; others wait.
        hosts: names by which the service may be called.
    """

    max_megabytes: float = 64
    timeout_seconds: float = 120
    at_once: int = 2
    hosts: frozenset[str] = LOOPBACK


class _Refused(Exception):
    """A request that gets an answer of ours."""

    def __init__(self, status: int, error: SlicewiseError) -> None:
        super().__init__(status, error)
        self.status, self.error = status, error


class RequestLimiter:
    """The scoring server behind limits.

    Args:
        application: what answers.
        limits: of each request.
    """

    def __init__(self, application: Application, limits: Limits) -> None:
        self._application = application
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.at_once)
        self._waiting = 0
        # The loop keeps weak references alone.
        self._running: set[asyncio.Task[tuple[int, bytes]]] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        try:
            self._require_known_host(scope)
            if scope["path"] != INVOCATIONS:
                await self._application(scope, receive, send)
                return
            status, content = await self._answered(scope, receive)
        except _Refused as refused:
            status, content = refused.status, _as_json(refused.error)
        await _send(send, status, content)

    def _require_known_host(self, scope: Message) -> None:
        """A page elsewhere may have a browser call this service under another name."""
        headers = _headers(scope)
        for name in ("host", "origin"):
            text = headers.get(name, "")
            host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
            if (name == "host" or text) and host not in self._limits.hosts:
                raise _refusal(
                    403,
                    f"header {name}",
                    f"one of {', '.join(sorted(self._limits.hosts))}",
                    text or "none",
                    "call the service by its own address; `slicewise serve --host` names another",
                )

    async def _answered(self, scope: Message, receive: Receive) -> tuple[int, bytes]:
        limits = self._limits
        _require_json(_headers(scope))
        if self._waiting >= _WAITING_FOR_EACH * limits.at_once:
            raise _busy("too many requests wait already")
        self._waiting += 1
        try:
            async with asyncio.timeout(limits.timeout_seconds):
                body = await self._body(scope, receive)
                await self._slots.acquire()
        except TimeoutError:
            raise _busy(f"no turn within {limits.timeout_seconds:g} s") from None
        finally:
            self._waiting -= 1
        return await self._computed(scope, body)

    async def _computed(self, scope: Message, body: bytes) -> tuple[int, bytes]:
        """Let the server answer, and go on without it where it takes too long.

        A prediction that has begun cannot be stopped; it keeps its turn until it ends.
        """
        task = asyncio.create_task(self._run(scope, body))
        self._running.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=self._limits.timeout_seconds)
        if not done:
            raise _busy(f"no answer within {self._limits.timeout_seconds:g} s")
        return task.result()

    def _ended(self, task: asyncio.Task[tuple[int, bytes]]) -> None:
        self._running.discard(task)
        self._slots.release()

    async def _run(self, scope: Message, body: bytes) -> tuple[int, bytes]:
        found: list[SlicewiseError] = []
        faults.set(found)
        parts: list[bytes] = []
        status = 500

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            parts.append(message.get("body", b""))

        try:
            await self._application(scope, receive, keep)
        except RecursionError:
            found.append(_wrong_request("brackets that are nested without end"))
            status = 400
        except Exception:
            # Whatever it is, the client gets words, and the log the rest.
            _log.exception("a request failed")
            status = 500
        if status < 400:
            return status, b"".join(parts)
        if found:
            return 400, _as_json(found[0])
        return status, _as_json(_foreign_error(status, b"".join(parts)))

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        limit = int(self._limits.max_megabytes * 1e6)
        stated = _headers(scope).get("content-length", "")
        if stated.isdigit() and int(stated) > limit:
            raise self._too_large(int(stated))
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > limit:
                raise self._too_large(len(body))
            if message["type"] != "http.request" or not message.get("more_body", False):
                return bytes(body)

    def _too_large(self, size: int) -> _Refused:
        return _refusal(
            413,
            "request",
            f"at most {self._limits.max_megabytes:g} MB",
            f"{size / 1e6:.1f} MB or more",
            "send fewer scans at once; `slicewise serve --max-megabytes` raises the limit",
        )


def _require_json(headers: dict[str, str]) -> None:
    kind = headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise _refusal(
            415, "header content-type", "application/json", kind or "none", "send JSON, and say so"
        )


def _foreign_error(status: int, content: bytes) -> SlicewiseError:
    """What MLflow says, without its stack trace and without the data."""
    if status >= 500:
        return SlicewiseError(
            "request",
            expected="an answer",
            found="a fault of the service",
            remedy="its log says more; report it with the version",
        )
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
        remedy="see the example in the README, or the one that the model holds",
    )


def _headers(scope: Message) -> dict[str, str]:
    return {key.decode("latin-1").lower(): item.decode("latin-1") for key, item in scope["headers"]}


def _refusal(status: int, where: str, expected: str, found: str, remedy: str) -> _Refused:
    return _Refused(status, UsageError(where, expected=expected, found=found, remedy=remedy))


def _busy(found: str) -> _Refused:
    return _refusal(503, "service", "a turn and an answer in time", found, "try again later")


def _as_json(error: SlicewiseError) -> bytes:
    parts = {key: getattr(error, key) for key in ("where", "expected", "found", "remedy")}
    return json.dumps({"message": str(error), "error": parts}).encode()


async def _send(send: Send, status: int, content: bytes) -> None:
    headers = [(b"content-type", b"application/json")]
    headers.append((b"content-length", str(len(content)).encode()))
    if status == 503:
        headers.append((b"retry-after", b"5"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
