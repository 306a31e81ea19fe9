"""Settings of Sphinx for the documentation, which ``make docs`` builds."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

import generate  # noqa: E402
from offline import require_offline_pages  # noqa: E402

from slicewise import __version__  # noqa: E402

project = "Slicewise"
author = "The Slicewise authors"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"Slicewise {release}"
html_copy_source = False
myst_heading_anchors = 3
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False


def setup(app: object) -> None:
    """Write the generated pages before Sphinx reads, and check the pages that it wrote."""
    app.connect("builder-inited", lambda _: generate.write_pages(DOCS / "generated"))
    app.connect("build-finished", require_offline_pages)
    app.connect("autodoc-process-docstring", _restore_first_sentence, priority=600)


def _restore_first_sentence(_app: object, what: str, *arguments: object) -> None:
    """Undo what napoleon did before: "Axis: that of ..." is no property of the type "Axis"."""
    *_, lines = arguments
    types = [line for line in lines if line.startswith(":type: ")]
    if what in ("attribute", "property") and types:
        lines.remove(types[0])
        lines[0] = f"{types[0].removeprefix(':type: ')}: {lines[0]}"
