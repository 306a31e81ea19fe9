"""DICOM identifiers that are derived from hashes."""

from __future__ import annotations

from uuid import UUID

DIGEST_BYTES = 16


def uid_of(digest: bytes) -> str:
    """UID below the root of UUIDs, which needs no registration (PS3.5 B.2).

    Args:
        digest: of a hash, at least 16 bytes; further bytes are ignored.
    """
    assert len(digest) >= DIGEST_BYTES, len(digest)
    # Version 5: a UUID that is derived from a hash.
    return f"2.25.{UUID(bytes=digest[:DIGEST_BYTES], version=5).int}"
