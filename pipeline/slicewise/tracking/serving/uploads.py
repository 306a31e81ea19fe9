"""Receives the bodies of requests into files, so that memory does not grow with their size."""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from slicewise.tracking.serving.refusals import RefusedError, busy, refusal, wrong_request

_AT_ONCE = 64
_LONGEST_SILENCE_SECONDS = 15.0


class Uploads:
    """Bodies that are on their way.

    They take no place in the queue for predictions. When too many are on their way, the oldest
    makes room: slow clients do not keep others out.

    Args:
        max_bytes: largest body.
        timeout_seconds: longest duration of an upload.
    """

    def __init__(self, max_bytes: int, timeout_seconds: float) -> None:
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds
        self._running: dict[asyncio.Timeout, None] = {}

    async def receive(self, request: Request, path: Path) -> None:
        """Write the body of a request into a file.

        Raises:
            RefusedError: too large, too slow, cut off, or no space.
        """
        stated = request.headers.get("content-length", "")
        if stated.isdigit() and int(stated) > self._max_bytes:
            raise self._too_large()
        if len(self._running) >= _AT_ONCE:
            oldest = next(iter(self._running))
            del self._running[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(self._timeout_seconds) as whole:
                self._running[whole] = None
                try:
                    await self._write(request, path)
                finally:
                    self._running.pop(whole, None)
        except TimeoutError:
            raise _too_slow() from None
        except ClientDisconnect:
            raise RefusedError(400, wrong_request("a body that was cut off")) from None
        except OSError:
            raise busy("no space for another request") from None

    async def _write(self, request: Request, path: Path) -> None:
        chunks = aiter(request.stream())
        size = 0
        with path.open("xb") as file:
            while True:
                async with asyncio.timeout(_LONGEST_SILENCE_SECONDS):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                size += len(chunk)
                if size > self._max_bytes:
                    raise self._too_large()
                file.write(chunk)

    def _too_large(self) -> RefusedError:
        return refusal(
            413,
            "request",
            expected=f"at most {self._max_bytes / 1e6:g} MB",
            found="a larger body",
            remedy="send fewer scans at once; `slicewise serve --max-megabytes` raises the limit",
        )


def _too_slow() -> RefusedError:
    return refusal(
        408,
        "request",
        expected="a body that arrives without long pauses",
        found="one that took too long",
        remedy="send it again over a faster connection",
    )
