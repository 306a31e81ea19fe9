"""A chart gives the same bytes again, and takes the colours of its page."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from slicewise.evaluation.comparison import RunComparison
from slicewise.reporting.charts.differences import differences_figure
from slicewise.reporting.charts.export import svg_of, write_figure
from slicewise.reporting.charts.style import BETTER

Comparisons = Callable[..., RunComparison]
EVIL = '</text><script>alert(1)</script>$x$ url(#id="a"'


def element(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def test_svg_is_an_image_with_words(comparison_of: Comparisons) -> None:
    root = element(svg_of(differences_figure(comparison_of("core"))))
    assert root.tag == "svg"
    assert root.attrib["role"] == "img"
    assert "new minus old" in root.attrib["aria-label"]
    assert set(root.attrib) == {"viewBox", "class", "role", "aria-label"}
    assert not [item for item in root.iter() if item.tag in ("style", "metadata")]


def test_svg_takes_the_inks_of_the_page(comparison_of: Comparisons) -> None:
    styles = " ".join(
        item.attrib.get("style", "")
        for item in element(svg_of(differences_figure(comparison_of("core")))).iter()
    )
    assert "var(--ink)" in styles
    assert "var(--quiet)" in styles
    assert "var(--line)" in styles
    assert "#000000" not in styles
    assert BETTER.lower() in styles


def test_svgs_of_a_page_share_no_id(comparison_of: Comparisons) -> None:
    first, second = (
        element(svg_of(differences_figure(comparison_of(name)))) for name in ("core", "rim")
    )
    ids = [{item.attrib["id"] for item in root.iter() if "id" in item.attrib} for root in
           (first, second)]  # fmt: skip
    assert ids[0]
    assert not ids[0] & ids[1]
    for root, known in zip((first, second), ids, strict=True):
        values = [value for item in root.iter() for value in item.attrib.values()]
        used = {name for value in values for name in re.findall(r"url\(#(.+?)\)", value)}
        used |= {item.attrib["href"][1:] for item in root.iter() if "href" in item.attrib}
        assert used == known


def test_names_are_inert(comparison_of: Comparisons) -> None:
    svg = svg_of(differences_figure(comparison_of(EVIL)))
    texts = ["".join(item.itertext()) for item in element(svg).iter() if item.tag == "text"]
    assert any(EVIL in text for text in texts)
    assert "<script" not in svg


def test_a_name_of_other_letters_needs_no_font(comparison_of: Comparisons, tmp_path: Path) -> None:
    figure = differences_figure(comparison_of("海馬"))
    assert "海馬" in svg_of(figure)
    write_figure(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_same_chart_same_bytes(
    comparison_of: Comparisons, tmp_path: Path, suffix: str, start: bytes
) -> None:
    settings: dict[str, Any] = dict(mpl.rcParams)
    for name in ("a", "b"):
        write_figure(differences_figure(comparison_of("core")), tmp_path / f"{name}{suffix}")
    content = (tmp_path / f"a{suffix}").read_bytes()
    assert content.startswith(start)
    assert content == (tmp_path / f"b{suffix}").read_bytes()
    assert dict(mpl.rcParams) == settings
