"""What every page shares: templates with escaping, own style and scripts, a policy, the file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline import __version__
from pipeline.imaging.files import write_text

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
    environment = Environment(
        loader=PackageLoader("pipeline.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    texts = [*(_own_text(environment, name) for name in scripts), *more_scripts]
    text = environment.get_template(template).render(
        content,
        version=__version__,
        styles=[_own_text(environment, name) for name in ("frame.css", *styles)],
        scripts=texts,
        security_policy=_policy(texts, more_policy or {}),
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


def _own_text(environment: Environment, name: str) -> Markup:
    assert environment.loader is not None
    # Our own style and scripts, the only text that is not escaped.
    return Markup(environment.loader.get_source(environment, name)[0])


def _policy(scripts: Sequence[str], more: Mapping[str, str]) -> str:
    """A content security policy: nothing is fetched, and scripts are known by their hashes."""
    hashes = " ".join(f"'{_hash(script)}'" for script in scripts)
    directives = {**_POLICY, "script-src": hashes}
    for name, value in more.items():
        known = directives.get(name, "").split()
        directives[name] = " ".join(dict.fromkeys([*known, *value.split()]))
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
