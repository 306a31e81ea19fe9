"""Reads ranges of bytes from compressed or plain files, with checks of integrity and size."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slicewise.errors import ScanError, file_problem

MAXIMUM_PADDING_BYTES = 2**20
"""Maximum number of bytes after the last voxel."""
MAXIMUM_GROWN_BYTES = 2 * 2**30
MAXIMUM_GROWTH = 100
"""Scans compress to a half, sparse masks to a hundredth; a larger ratio is a decompression bomb."""
_CHUNK_BYTES = 2**20
_DEFLATE_LIMIT = 1032
"""Maximum compression ratio of deflate: two bits represent at most 258 bytes."""


def damaged(path: Path, expected: str, found: str) -> ScanError:
    """The error for a damaged file."""
    return ScanError(path, expected=expected, found=found, remedy="copy or export the file again")


def read_start(path: Path, size: int) -> bytes:
    """At most ``size`` bytes from the start of the content.

    Raises:
        ScanError: unreadable file, or damaged stream.
    """
    with _content_of(path) as stream:
        return bytes(stream.read(size))


def read_range(path: Path, start: int, size: int, end: int) -> bytes:
    """Read ``size`` bytes from ``start``, and verify the content to its ``end``.

    The rest is read for the checksum at the end of a gzip stream, but not kept in memory.

    Args:
        path: of the file; decompressed if it ends in ``.gz``.
        start: first byte to return.
        size: number of bytes to return.
        end: size of the whole content in bytes, without padding.

    Raises:
        ScanError: too short, too long, damaged, or a decompression bomb.
    """
    with _content_of(path) as stream:
        _require_plausible(path, end, compressed=is_compressed(path))
        before = _skip(stream, start)
        content = bytes(stream.read(size))
        length = before + len(content) + _skip(stream, end - start - size)
        if length < end:
            raise damaged(path, f"{end} bytes of header and voxels", f"{length} bytes (truncated)")
        if len(stream.read(MAXIMUM_PADDING_BYTES)) == MAXIMUM_PADDING_BYTES:
            found = f"more than {MAXIMUM_PADDING_BYTES} bytes after it"
            raise damaged(path, "an end after the last voxel", found)
    return content


def read_from(path: Path, offset: int, size: int, *, compressed: bool) -> bytes:
    """Read all ``size`` bytes after an uncompressed header, and verify the end of the file.

    Args:
        path: of the file.
        offset: byte at which the content starts.
        size: of the content in bytes.
        compressed: whether the content is a gzip stream.

    Raises:
        ScanError: as ``read_range``.
    """
    with _named_errors(path), path.open("rb") as file:
        _require_plausible(path, size, compressed=compressed)
        file.seek(offset)
        stream: Any = gzip.GzipFile(fileobj=file) if compressed else file
        content = bytes(stream.read(size))
        if len(content) < size:
            raise damaged(path, f"{size} bytes of voxels", f"{len(content)} bytes (truncated)")
        # Reading to the end verifies the checksum of a gzip stream.
        if len(stream.read(MAXIMUM_PADDING_BYTES)) == MAXIMUM_PADDING_BYTES:
            found = f"more than {MAXIMUM_PADDING_BYTES} bytes after it"
            raise damaged(path, "an end after the last voxel", found)
    return content


@contextmanager
def _content_of(path: Path) -> Iterator[Any]:
    with (
        _named_errors(path),
        gzip.open(path, "rb") if is_compressed(path) else path.open("rb") as stream,
    ):
        yield stream


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise damaged(path, "a complete gzip stream", "a truncated one") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise damaged(path, "an intact gzip stream", _damage(error)) from None
    except OSError as error:
        raise damaged(path, "a readable file", file_problem(error)) from None


def _damage(error: Exception) -> str:
    if "Not a gzipped" in str(error):
        return "other content"
    return "a wrong checksum" if "CRC" in str(error) else "a damaged one"


def is_compressed(path: Path) -> bool:
    """Whether the suffix says that a file is compressed."""
    return path.name.lower().endswith(".gz")


def _require_plausible(path: Path, end: int, *, compressed: bool) -> None:
    """Compare the size in the header with the file, before memory is allocated."""
    stored = path.stat().st_size
    if end > stored * (_DEFLATE_LIMIT if compressed else 1):
        found = f"{stored} on the disk (truncated)"
        raise damaged(path, f"{end} bytes of header and voxels", found)
    if compressed and end > max(MAXIMUM_GROWN_BYTES, stored * MAXIMUM_GROWTH):
        raise ScanError(
            path,
            expected=f"a compression ratio of at most {MAXIMUM_GROWTH}, or at most "
            f"{MAXIMUM_GROWN_BYTES} bytes of content",
            found=f"{stored} bytes that decompress to {end} bytes",
            remedy="if you trust the file, decompress it with gunzip",
        )


def _skip(stream: Any, count: int) -> int:
    """Skip up to ``count`` bytes, and return how many were skipped."""
    left = count
    while left and (chunk := stream.read(min(left, _CHUNK_BYTES))):
        left -= len(chunk)
    return count - left
