"""The viewer of scans and masks: as parts for a page, or as a page of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markupsafe import Markup

from slicewise.errors import OutputError
from slicewise.imaging.files import write_text
from slicewise.reporting.html_page import content_policy, environment, own_text, text_hash
from slicewise.reporting.viewer.niivue import niivue_script, niivue_version
from slicewise.reporting.viewer.scan_data import ViewedMask, ViewedScan, viewed_json

__all__ = ["ViewedMask", "ViewedScan", "ViewerParts", "viewer_parts", "write_viewer_page"]

MAX_PAGE_BYTES = 300_000_000
"""Size of the scans of a page as text; browsers read at most 512 MB."""
POLICY = {"img-src": "data:"}
"""What the renderer needs: pictures that it holds itself."""
_OWN_SCRIPTS = ("viewer_geometry.js", "viewer_labels.js", "viewer_controls.js", "viewer.js")


@dataclass(frozen=True)
class ViewerParts:
    """The parts of a viewer, to be inserted into a page.

    Attributes:
        markup: one element, with the scans in it; empty where there is none to look at.
        style: for the page's ``style``; every rule is about the viewer alone.
        scripts: one ``script`` each, at the end of the body; a few for any number of viewers.
        policy: directives that a content security policy needs besides the scripts' hashes.
        left_out: titles of the scans that did not fit.
    """

    markup: Markup
    style: Markup
    scripts: tuple[Markup, ...]
    policy: Mapping[str, str]
    left_out: tuple[str, ...]


def viewer_parts(scans: Sequence[ViewedScan], max_bytes: int) -> ViewerParts:
    """One viewer with a chooser of scans.

    It starts when it comes into sight, and leaves the wheel to the page until it is clicked.

    Args:
        scans: the first is shown first.
        max_bytes: of all scans together, as text; the renderer adds 2.3 MB. Each scan that still
            fits is taken, in their order.

    Raises:
        GeometryError, LabelError, ScanError: a scan that cannot be shown; see ``viewed_json``.
    """
    return _parts(scans, max_bytes, alone=False)


def write_viewer_page(
    scans: Sequence[ViewedScan], path: Path, title: str = "Viewer"
) -> tuple[str, ...]:
    """Write one HTML file that needs nothing else.

    Returns:
        Titles of the scans that did not fit.

    Raises:
        GeometryError, LabelError, ScanError: a scan that cannot be shown; see ``viewed_json``.
        OutputError: the file cannot be written, or no scan fits.
    """
    parts = _parts(scans, MAX_PAGE_BYTES, alone=True)
    if not parts.markup:
        raise OutputError(
            path,
            expected=f"scans of at most {MAX_PAGE_BYTES // 1_000_000} MB as text",
            found="larger ones",
            remedy="crop the scan, or store its voxels as whole numbers",
        )
    style = own_text("viewer_page.css") + parts.style
    text = (
        environment()
        .get_template("viewer_page.html.j2")
        .render(
            title=title,
            style=style,
            markup=parts.markup,
            scripts=parts.scripts,
            policy=content_policy(
                {"default-src": "'none'", "style-src": f"'{text_hash(style)}'"},
                parts.policy,
                scripts=parts.scripts,
            ),
        )
    )
    # A file name may hold bytes that are no text.
    write_text(path, text.encode(errors="replace").decode())
    return parts.left_out


def _parts(scans: Sequence[ViewedScan], max_bytes: int, *, alone: bool) -> ViewerParts:
    kept: list[tuple[str, Markup]] = []
    left_out = []
    room = max_bytes
    for viewed in scans:
        content = viewed_json(viewed)
        if len(content) > room:
            left_out.append(viewed.title)
            continue
        room -= len(content)
        kept.append((viewed.title, content))
    if not kept:
        return ViewerParts(Markup(), Markup(), (), {}, tuple(left_out))
    markup = (
        environment()
        .get_template("viewer.html.j2")
        .render(
            titles=[title for title, _ in kept],
            scans=[content for _, content in kept],
            left_out=left_out,
            alone=alone,
            version=niivue_version(),
            licence=own_text("niivue_licence.txt"),
        )
    )
    return ViewerParts(Markup(markup), own_text("viewer.css"), _scripts(), POLICY, tuple(left_out))


@cache
def _scripts() -> tuple[Markup, ...]:
    own = "\n".join(own_text(name) for name in _OWN_SCRIPTS)
    return Markup(niivue_script()), Markup(f'(() => {{\n"use strict";\n{own}}})();')
