"""A file and a range in, those bytes of its uncompressed content out; damage is refused."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slicewise.errors import ScanError, file_problem

MAXIMUM_PADDING_BYTES = 2**20
"""What may lie behind the last voxel."""
MAXIMUM_GROWN_BYTES = 2 * 2**30
MAXIMUM_GROWTH = 100
"""Scans shrink to a half, sparse masks to a hundredth; what grows more, and far, is a bomb."""
_CHUNK_BYTES = 2**20
_DEFLATE_LIMIT = 1032
"""No deflate stream grows by more: two bits stand for at most 258 bytes."""


def damaged(path: Path, expected: str, found: str) -> ScanError:
    """The error of a file that is not what was once written."""
    return ScanError(path, expected=expected, found=found, remedy="copy or export the file again")


def read_start(path: Path, size: int) -> bytes:
    """At most ``size`` bytes from the start of the content.

    Raises:
        ScanError: no readable file, or a damaged stream.
    """
    with _content_of(path) as stream:
        return bytes(stream.read(size))


def read_range(path: Path, start: int, size: int, end: int) -> bytes:
    """``size`` bytes from ``start``, of content that is followed to its ``end``.

    Only these bytes are held; the rest is read for the checksum, which a gzip stream tells last.

    Args:
        path: file; unpacked if its name says so.
        start: first byte wanted.
        size: bytes wanted.
        end: bytes of the whole content, but for a little padding.

    Raises:
        ScanError: too short, too long, damaged, or a bomb.
    """
    with _content_of(path) as stream:
        _require_plausible(path, end)
        before = _skip(stream, start)
        content = bytes(stream.read(size))
        length = before + len(content) + _skip(stream, end - start - size)
        if length < end:
            raise damaged(path, f"{end} bytes of header and voxels", f"{length} (truncated)")
        if len(stream.read(MAXIMUM_PADDING_BYTES)) == MAXIMUM_PADDING_BYTES:
            found = f"more than {MAXIMUM_PADDING_BYTES} bytes after it"
            raise damaged(path, "an end after the last voxel", found)
    return content


@contextmanager
def _content_of(path: Path) -> Iterator[Any]:
    try:
        with gzip.open(path, "rb") if _is_packed(path) else path.open("rb") as stream:
            yield stream
    except EOFError:
        raise damaged(path, "a complete gzip stream", "it ends too early (truncated)") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise damaged(path, "an intact gzip stream", str(error)) from None
    except OSError as error:
        raise damaged(path, "a readable file", file_problem(error)) from None


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _require_plausible(path: Path, end: int) -> None:
    """Compare what a header promises with what lies on the disk, before memory is taken for it."""
    stored = path.stat().st_size
    if end > stored * (_DEFLATE_LIMIT if _is_packed(path) else 1):
        found = f"{stored} on the disk (truncated)"
        raise damaged(path, f"{end} bytes of header and voxels", found)
    if _is_packed(path) and end > max(MAXIMUM_GROWN_BYTES, stored * MAXIMUM_GROWTH):
        raise ScanError(
            path,
            expected=f"at most {MAXIMUM_GROWN_BYTES} bytes from a file that grows over "
            f"{MAXIMUM_GROWTH} times",
            found=f"{stored} bytes that grow to {end}",
            remedy="if the file is to be trusted, unpack it with gunzip",
        )


def _skip(stream: Any, count: int) -> int:
    """How many of ``count`` bytes there were."""
    left = count
    while left and (chunk := stream.read(min(left, _CHUNK_BYTES))):
        left -= len(chunk)
    return count - left
