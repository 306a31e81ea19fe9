"""A digest in, a DICOM identifier out: what is derived alike is called alike."""

from __future__ import annotations

from uuid import UUID

DIGEST_BYTES = 16


def uid_of(digest: bytes) -> str:
    """Identifier below the root of UUIDs, which needs no registration (PS3.5 B.2).

    Args:
        digest: at least 16 bytes of a hash; further ones are ignored.
    """
    assert len(digest) >= DIGEST_BYTES, len(digest)
    # Version 5: a UUID that a hash was made into.
    return f"2.25.{UUID(bytes=digest[:DIGEST_BYTES], version=5).int}"
