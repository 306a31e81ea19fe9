"""Renders self-contained HTML pages from templates, with a content security policy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from slicewise import __version__
from slicewise.imaging.files import write_text

_POLICY = {
    "default-src": "'none'",
    "img-src": "data:",
    "style-src": "'unsafe-inline'",
}


def write_page(
    path: Path,
    template: str,
    content: Mapping[str, Any],
    styles: Sequence[str],
    scripts: Sequence[str],
    *,
    more_scripts: Sequence[Markup] = (),
    more_policy: Mapping[str, str] | None = None,
) -> None:
    """Write a self-contained page that runs no script but its own.

    Args:
        path: HTML file.
        template: name of a template that extends ``frame.html.j2``.
        content: values of the template; all text is escaped.
        styles: file names in the folder of templates, after the common style.
        scripts: likewise.
        more_scripts: text of further scripts, each in an element of its own.
        more_policy: further directives of the content security policy.

    Raises:
        OutputError: the file cannot be written.
    """
    texts = [*(own_text(name) for name in scripts), *more_scripts]
    text = (
        environment()
        .get_template(template)
        .render(
            content,
            version=__version__,
            styles=[own_text(name) for name in ("frame.css", *styles)],
            scripts=texts,
            security_policy=content_policy(_POLICY, more_policy or {}, scripts=texts),
        )
    )
    # A file name may hold bytes that are no text.
    write_text(path, text.encode(errors="replace").decode())


def data_address(content: bytes, kind: str) -> str:
    """A picture as a data URL.

    Args:
        content: bytes of the file.
        kind: such as ``image/webp``.
    """
    return f"data:{kind};base64," + base64.b64encode(content).decode()


@cache
def environment() -> Environment:
    """The template environment; text is escaped, and undefined values are errors."""
    return Environment(
        loader=PackageLoader("slicewise.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def own_text(name: str) -> Markup:
    """A style, script or licence from the folder of templates, which is not escaped."""
    loader = environment().loader
    assert loader is not None
    return Markup(loader.get_source(environment(), name)[0])


def content_policy(*directives: Mapping[str, str], scripts: Sequence[str]) -> str:
    """A content security policy that allows no requests, and scripts only by their hashes.

    Args:
        directives: name to sources; sources of the same directive are joined.
        scripts: text of each script of the page.
    """
    joined: dict[str, str] = {}
    own = {"script-src": " ".join(f"'{text_hash(script)}'" for script in scripts)}
    for name, value in (item for part in (*directives, own) for item in part.items()):
        known = joined.get(name, "").split()
        joined[name] = " ".join(dict.fromkeys([*known, *value.split()]))
    return "; ".join(f"{name} {value}" for name, value in joined.items())


def text_hash(text: str) -> str:
    """The hash of a script or style in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
