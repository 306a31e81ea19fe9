"""What every page shares: templates with escaping, own style and scripts, a policy, the file."""

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
    """Write a page that needs nothing else and runs no script but its own.

    Args:
        path: HTML file.
        template: name of a template that extends ``frame.html.j2``.
        content: what it shows; all text is escaped.
        styles: names of files beside the template, after the common one.
        scripts: likewise.
        more_scripts: text of scripts from elsewhere, each in an element of its own.
        more_policy: what the page is allowed beyond the usual.

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
    """A picture as part of a page.

    Args:
        content: bytes of the file.
        kind: such as ``image/webp``.
    """
    return f"data:{kind};base64," + base64.b64encode(content).decode()


@cache
def environment() -> Environment:
    """Templates of this room; every text in them is escaped, and a missing one is an error."""
    return Environment(
        loader=PackageLoader("slicewise.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def own_text(name: str) -> Markup:
    """Our own style, script or licence beside the templates: the only text that is not escaped."""
    loader = environment().loader
    assert loader is not None
    return Markup(loader.get_source(environment(), name)[0])


def content_policy(*directives: Mapping[str, str], scripts: Sequence[str]) -> str:
    """A content security policy: nothing is fetched, and scripts are known by their hashes.

    Args:
        directives: name to sources; what several name is allowed together.
        scripts: text of each script of the page.
    """
    joined: dict[str, str] = {}
    own = {"script-src": " ".join(f"'{text_hash(script)}'" for script in scripts)}
    for name, value in (item for part in (*directives, own) for item in part.items()):
        known = joined.get(name, "").split()
        joined[name] = " ".join(dict.fromkeys([*known, *value.split()]))
    return "; ".join(f"{name} {value}" for name, value in joined.items())


def text_hash(text: str) -> str:
    """What a content security policy knows a script or a style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
