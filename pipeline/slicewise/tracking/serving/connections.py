"""HTTP connections of our servers, as protocols of uvicorn.

MLflow's own server takes ``MlflowProtocol`` by the option ``--http`` of uvicorn.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from slicewise.tracking.serving.host_guard import HostGuard

LARGEST_HEADERS_BYTES = 32 * 1024
_LONGEST_HEADERS_SECONDS = 15.0


class PatientProtocol(H11Protocol):
    """Closes connections that do not send the whole headers of a request in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Watch a new connection."""
        super().connection_made(transport)
        self._look_again(was_idle=True)

    def _watch(self, *, was_idle: bool) -> None:
        """Close the connection if it has no request now, and had none before."""
        cycle: RequestResponseCycle | None = self.cycle
        is_idle = cycle is None or cycle.response_complete
        if self.transport.is_closing():
            return
        if was_idle and is_idle:
            self.transport.close()
            return
        self._look_again(was_idle=is_idle)

    def _look_again(self, *, was_idle: bool) -> None:
        self.loop.call_later(_LONGEST_HEADERS_SECONDS, lambda: self._watch(was_idle=was_idle))


class MlflowProtocol(PatientProtocol):
    """Refuses requests that pages of other sites send, reading ones included.

    MLflow itself refuses only those that change something.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.app = HostGuard(self.app, is_own=_is_own)


def _is_own(origin: str) -> bool:
    from mlflow.server.security_utils import get_allowed_origins_from_env, should_block_cors_request

    return not should_block_cors_request(origin, "POST", get_allowed_origins_from_env())
