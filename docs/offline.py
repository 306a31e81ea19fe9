"""Refuses pages that load anything from the network: the documentation is read offline, too."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import SphinxError

_LOADED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"((?:https?:)?//[^\"]+)\"")
_LINKED = re.compile(
    r"<link\b(?=[^>]*\brel=\"(?:stylesheet|preload|icon|preconnect)[^\"]*\")[^>]*"
    r"\bhref=\"((?:https?:)?//[^\"]+)\""
)
_STYLED = re.compile(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^\"')]+)")


def require_offline_pages(app: Sphinx, exception: Exception | None) -> None:
    """Check every page and style sheet of a finished build.

    Raises:
        SphinxError: a page loads a script, a style, a font or a picture from another host.
    """
    if exception is not None:
        return
    for path in sorted(Path(app.outdir).rglob("*")):
        patterns = {".html": (_LOADED, _LINKED), ".css": (_STYLED,)}.get(path.suffix, ())
        text = path.read_text(encoding="utf-8") if patterns else ""
        for pattern in patterns:
            if found := pattern.search(text):
                raise SphinxError(f"{path.name} loads {found[1]}; pages must work offline")
