"""A picture of a report with its caption."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

_MAX_BYTES = 60_000
"""Of a picture that is kept as it is; a larger one loses a little."""
_QUALITY = 85


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        caption: what it shows.
        content: WebP.
        width: pixels.
        height: pixels.
    """

    caption: str
    content: bytes
    width: int
    height: int


def encoded(caption: str, picture: Image.Image) -> Panel:
    """WebP without any loss where that stays small, as it does for few large voxels."""
    stream = io.BytesIO()
    picture.save(stream, "WEBP", lossless=True, method=4)
    if stream.tell() > _MAX_BYTES:
        stream = io.BytesIO()
        picture.save(stream, "WEBP", quality=_QUALITY, method=4, use_sharp_yuv=True)
    return Panel(caption, stream.getvalue(), *picture.size)
