"""Addresses of servers, as people type them."""

from __future__ import annotations

import re

_HOST = re.compile(
    r"(localhost|[\w-]+(\.[\w-]+)+|[\w.-]+(?=:\d)|\[[\da-f:]+\])(:\d+)?(/\S*)?", re.I
)


def with_scheme(text: str) -> str:
    """The address of a host that was given without ``http://``; empty for any other text."""
    return f"http://{text}" if _HOST.fullmatch(text) else ""
