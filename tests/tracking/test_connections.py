"""Connections that send nothing end, and MLflow's pages are for its own origins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from slicewise.tracking.serving.connections import MlflowProtocol, PatientProtocol
from slicewise.tracking.serving.host_guard import HostGuard


class Clock:
    """An event loop whose timers run when they are told to."""

    def __init__(self) -> None:
        self.timers: list[Callable[[], object]] = []

    def call_later(self, _: float, work: Callable[[], object]) -> None:
        self.timers.append(work)

    def tick(self) -> None:
        self.timers.pop(0)()


class Connection:
    """Remembers whether it was closed."""

    closed = False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str) -> Any:
        del name


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """An application without an answer."""
    del scope, receive, send


def protocol_of(kind: type[PatientProtocol], clock: Any) -> PatientProtocol:
    config = uvicorn.Config(nothing, lifespan="off", ws="none", http=kind)
    return kind(config, ServerState(), {}, clock)


@pytest.mark.fault(118, "E")
@pytest.mark.parametrize("sent", [b"", b"GET /ping HTTP/1.1\r\nX: a"])
def test_a_connection_without_whole_headers_is_closed(sent: bytes) -> None:
    clock, connection = Clock(), Connection()
    protocol = protocol_of(PatientProtocol, clock)
    protocol.connection_made(connection)  # type: ignore[arg-type]
    if sent:
        protocol.data_received(sent)
    clock.tick()
    assert connection.closed
    assert not clock.timers


def test_a_connection_with_a_request_stays() -> None:
    clock, connection = Clock(), Connection()
    protocol = protocol_of(PatientProtocol, clock)
    protocol.connection_made(connection)  # type: ignore[arg-type]

    class Running:
        response_complete = False

    protocol.cycle = Running()  # type: ignore[assignment]
    clock.tick()
    protocol.cycle.response_complete = True
    # It had a request a moment ago.
    clock.tick()
    assert not connection.closed
    clock.tick()
    assert connection.closed


@pytest.mark.fault(94, "E")
@pytest.mark.parametrize(
    ("origin", "permitted", "status"),
    [
        (None, "", 200),
        ("http://localhost:3000", "", 200),
        ("https://evil.example", "", 403),
        ("https://evil.example", "https://mlflow.example.org", 403),
        ("https://mlflow.example.org", "https://mlflow.example.org", 200),
        ("null", "", 403),
        ("http://[::1", "", 403),
    ],
)
def test_pages_of_other_sites_read_nothing_of_mlflow(
    monkeypatch: pytest.MonkeyPatch, origin: str | None, permitted: str, status: int
) -> None:
    monkeypatch.setenv("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", permitted)
    guard = protocol_of(MlflowProtocol, Clock()).app
    assert isinstance(guard, HostGuard)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:5000")]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    asyncio.run(guard(scope, asyncio.sleep, send))  # type: ignore[arg-type]
    assert (sent[0]["status"] if sent else 200) == status
