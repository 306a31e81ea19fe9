"""Writes charts as files, and as SVG elements in the colour scheme of a page."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from markupsafe import Markup
from matplotlib.figure import Figure

from slicewise.imaging.files import atomic_file
from slicewise.reporting.charts.style import INK, LINE, PAPER, QUIET, chart_style

FORMATS = (".png", ".pdf", ".svg")
# In a page these colours of paper follow its light or dark scheme.
_ROLES = {INK: "var(--ink)", QUIET: "var(--quiet)", LINE: "var(--line)", PAPER: "var(--card)"}
_METADATA = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".svg": {"Date": None, "Creator": None},
}
_DOTS_PER_INCH = 200
_NUMBERS = ("d", "x", "y", "transform")


def write_figure(figure: Figure, path: Path) -> None:
    """Write a chart on white; the same chart gives the same bytes.

    Args:
        figure: a chart.
        path: file to write; its suffix decides the format.

    Raises:
        OutputError: the file cannot be written.
    """
    suffix = path.suffix.lower()
    with chart_style(), atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=_DOTS_PER_INCH, facecolor="white", metadata=_METADATA[suffix])


def svg_of(figure: Figure) -> Markup:
    """A chart as an SVG element of a page, in the inks of the page's light or dark scheme.

    The page has the custom properties ``--ink``, ``--quiet``, ``--line`` and ``--card``. No two
    charts share an id. The element is an image whose label is the figure's.
    """
    stream = io.BytesIO()
    with chart_style():
        figure.savefig(stream, format="svg", facecolor="none", metadata=_METADATA[".svg"])
    root = ET.fromstring(stream.getvalue())
    mark = "c" + hashlib.sha256(stream.getvalue()).hexdigest()[:10]
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {
            name.rpartition("}")[2]: _in_page(name, value, mark)
            for name, value in element.attrib.items()
            # Groups are named for nobody.
            if not (name == "id" and element.tag == "g")
        }
        element.tail = None
    # Its style would hold for the whole page, which has the same rule for charts alone.
    for unused in [*root.findall("metadata"), *root.findall("defs[style]")]:
        root.remove(unused)
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "class": "chart",
        "role": "img",
        "aria-label": str(figure.get_label()),
    }
    # What a name contains was escaped when it was written as XML.
    return Markup(ET.tostring(root, encoding="unicode"))


def _in_page(name: str, value: str, mark: str) -> str:
    local = name.rpartition("}")[2]
    if local == "id":
        return f"{mark}-{value}"
    if local == "href":
        return value.replace("#", f"#{mark}-", 1)
    if local in _NUMBERS:
        return re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", value)
    value = value.replace("url(#", f"url(#{mark}-")
    if local == "style":
        for colour, role in _ROLES.items():
            value = value.replace(colour, role)
    return value
