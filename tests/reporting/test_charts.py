"""A chart is the same again, tells what it shows in words, and takes the inks of its page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from slicewise.errors import OutputError
from slicewise.evaluation.comparison import RunComparison, StructureComparison
from slicewise.evaluation.statistics import METRICS
from slicewise.reporting.charts import (
    BETTER,
    WORSE,
    differences_figure,
    svg_of,
    write_figure,
)

EVIL = '</text><script>alert(1)</script>$x$ url(#id="a"'
DIFFERENCES = {"a": 0.1, "b": -0.05, "c": 0.3, "d": 0.0}


def a_comparison(
    *names: str, metric: str = "dice", differences: dict[str, float] = DIFFERENCES
) -> RunComparison:
    rows = tuple(
        StructureComparison(name, 4, 3, 0.7, 0.8, 0.0875, 0.01, 0.2, 0.5, 0.04, 0.08, differences)
        for name in names
    )
    return RunComparison(METRICS[metric], "old", "new", rows, (), ())


def bars(figure: Figure) -> list[tuple[float, str]]:
    return [
        (bar.get_height(), to_hex(bar.get_facecolor()).upper()) for bar in figure.axes[0].patches
        if bar.get_width() == pytest.approx(0.85)
    ]  # fmt: skip


def test_a_bar_a_case_sorted() -> None:
    heights = [height for height, _ in bars(differences_figure(a_comparison("core")))]
    assert heights == [0.3, 0.1, 0.0, -0.05]


@pytest.mark.parametrize(
    ("metric", "rising", "falling"),
    [("dice", BETTER, WORSE), ("hd95_mm", WORSE, BETTER)],
)
def test_colours_tell_what_is_better(metric: str, rising: str, falling: str) -> None:
    drawn = bars(differences_figure(a_comparison("core", metric=metric)))
    assert drawn[0][1] == rising.upper()
    assert drawn[-1][1] == falling.upper()


@pytest.mark.parametrize(("count", "columns", "panels"), [(1, 1, 1), (3, 1, 3), (3, 2, 4)])
def test_a_panel_a_structure(count: int, columns: int, panels: int) -> None:
    figure = differences_figure(a_comparison(*"abc"[:count]), columns)
    assert len(figure.axes) == panels
    assert sum(axes.axison for axes in figure.axes) == count


def test_words_say_what_is_drawn() -> None:
    words = str(differences_figure(a_comparison("rim_zone")).get_label())
    assert words.startswith("Dice case by case, new minus old.")
    assert "rim zone: +0.0875 (+0.0100 to +0.2000), of 4 cases 2 better, 1 worse" in words


def test_no_case_in_common_is_drawn_empty() -> None:
    figure = differences_figure(a_comparison("core", differences={}))
    assert bars(figure) == []
    assert "of 0 cases" in str(figure.get_label())


def element(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def test_svg_is_an_image_with_words() -> None:
    root = element(svg_of(differences_figure(a_comparison("core"))))
    assert root.tag == "svg"
    assert root.attrib["role"] == "img"
    assert "new minus old" in root.attrib["aria-label"]
    assert set(root.attrib) == {"viewBox", "class", "role", "aria-label"}
    assert not [item for item in root.iter() if item.tag in ("style", "metadata")]


def test_svg_takes_the_inks_of_the_page() -> None:
    styles = " ".join(
        item.attrib.get("style", "")
        for item in element(svg_of(differences_figure(a_comparison("core")))).iter()
    )
    assert "var(--ink)" in styles
    assert "var(--quiet)" in styles
    assert "var(--line)" in styles
    assert "#000000" not in styles
    assert BETTER.lower() in styles


def test_svgs_of_a_page_share_no_id() -> None:
    first, second = (
        element(svg_of(differences_figure(a_comparison(name)))) for name in ("core", "rim")
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


def test_names_are_inert() -> None:
    svg = svg_of(differences_figure(a_comparison(EVIL)))
    texts = ["".join(item.itertext()) for item in element(svg).iter() if item.tag == "text"]
    assert any(EVIL in text for text in texts)
    assert "<script" not in svg


def test_a_name_of_other_letters_needs_no_font(tmp_path: Path) -> None:
    figure = differences_figure(a_comparison("海馬"))
    assert "海馬" in svg_of(figure)
    write_figure(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_same_chart_same_bytes(tmp_path: Path, suffix: str, start: bytes) -> None:
    settings: dict[str, Any] = dict(mpl.rcParams)
    for name in ("a", "b"):
        write_figure(differences_figure(a_comparison("core")), tmp_path / f"{name}{suffix}")
    content = (tmp_path / f"a{suffix}").read_bytes()
    assert content.startswith(start)
    assert content == (tmp_path / f"b{suffix}").read_bytes()
    assert dict(mpl.rcParams) == settings


def test_another_suffix_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.png, \.pdf, \.svg"):
        write_figure(differences_figure(a_comparison("core")), tmp_path / "a.doc")
    assert not list(tmp_path.iterdir())
