"""Refuses requests under a broken or foreign host name, and those that pages of other sites send.

A page of another site may let a browser send requests to a server of this machine; a foreign host
name may have been made to point at this machine for that purpose.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from slicewise.tracking.serving.refusals import RefusedError, refusal

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::\d{1,5})?")

OwnOrigin = Callable[[str], bool]
"""Whether an Origin is one whose pages may send requests."""


class HostGuard:
    """An ASGI application that passes on what is addressed to another one.

    Args:
        application: answers permitted requests.
        hosts: names under which clients may call it; None where it checks them itself.
        is_own: tells its origins; None permits those of ``hosts``.
    """

    def __init__(
        self,
        application: ASGIApp,
        hosts: frozenset[str] | None = None,
        is_own: OwnOrigin | None = None,
    ) -> None:
        self._application = application
        self._hosts = hosts
        self._is_own = is_own or (lambda origin: _origin_host(origin) in (hosts or ()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            try:
                self._require_permitted(Headers(scope=scope))
            except RefusedError as refused:
                await refused.response()(scope, receive, send)
                return
        await self._application(scope, receive, send)

    def _require_permitted(self, headers: Headers) -> None:
        stated = headers.getlist("host")
        match = _HOST.fullmatch(stated[0]) if len(stated) == 1 else None
        if match is None:
            raise refusal(
                400,
                "header host",
                expected="the name or address of this service, such as 127.0.0.1:5001",
                found="another text" if stated else "no such header",
                remedy="correct the address that the program calls",
            )
        name = match["address"] or match["name"].lower()
        if self._hosts is not None and name not in self._hosts:
            raise self._foreign("host")
        if not all(self._is_own(origin) for origin in headers.getlist("origin")):
            raise self._foreign("origin")

    def _foreign(self, header: str) -> RefusedError:
        names = f"one of {', '.join(sorted(self._hosts))}" if self._hosts else "that of this server"
        return refusal(
            403,
            f"header {header}",
            expected=names,
            found="another one",
            remedy="call the service by its own address; `slicewise serve --name` permits another",
        )


def _origin_host(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None
