"""Charts and cases of a report as slides: one PDF, and a PNG for each page."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.transforms import Bbox
from PIL import Image

from slicewise.imaging.files import atomic_file
from slicewise.reporting.charts.export import write_figure
from slicewise.reporting.charts.style import INK, LINE, QUIET, WORSE, chart, chart_style
from slicewise.reporting.overlays import AGREEMENT, CONFUSED, FALSE_NEGATIVE, FALSE_POSITIVE
from slicewise.reporting.report.case_panels import CasePanels
from slicewise.reporting.report.charts import every_chart
from slicewise.reporting.report.contents import Report, ReportedCase
from slicewise.reporting.report.error_maps import MAP_PIXELS
from slicewise.reporting.report.panels import Panel
from slicewise.reporting.report.tables import StructureRow, headline_columns, structure_rows
from slicewise.reporting.report.text import alarms, folds_text, meaning

PAGE_INCHES = (8.0, 4.5)
"""16 to 9, and so small that the letters of a chart are large on a wall."""
_LEFT, _RIGHT = 0.05, 0.95
_INNER = (0.04, 0.04, 0.92, 0.92)
"""What a chart fills: left, bottom, width and height, as shares of the page."""
_LETTERS_A_LINE = 112
_LINE_HEIGHT, _PARAGRAPH_GAP = 0.046, 0.018
_TEXT_TOP, _BOTTOM = 0.84, 0.07
"""Where the first line of a text begins, and the last one at the lowest."""
_HEADING_POINTS, _LETTERS_OF_HEADING = 20, 40
_MAX_WARNINGS = 4
_ROWS_A_PAGE, _ROW_HEIGHT, _LETTERS_OF_NAME = 8, 0.09, 20
_MAX_CASES = 40


@dataclass(frozen=True)
class Slide:
    """A page with the name of its picture."""

    key: str
    figure: Figure


def write_slides(report: Report, pdf: Path, pictures: Path) -> None:
    """Write every slide as a page of a PDF, and as a PNG.

    Args:
        report: content of the slides.
        pdf: file of all pages.
        pictures: folder of one PNG a page.

    Raises:
        OutputError: something cannot be written.
    """
    undated = {"CreationDate": None, "Creator": None, "Producer": None}
    with (
        chart_style(),
        atomic_file(pdf) as temporary,
        PdfPages(temporary, metadata=undated) as pages,
    ):
        for number, slide in enumerate(_slides(report), start=1):
            pages.savefig(slide.figure, facecolor="white")
            # The parts have found their places; to find them again takes as long as to draw.
            slide.figure.set_layout_engine("none")
            write_figure(slide.figure, pictures / f"{number:02d}-{slide.key}.png")


def _slides(report: Report) -> Iterator[Slide]:
    for figure in _text_figures(report):
        yield Slide("title", figure)
    for figure in _table_figures(report):
        yield Slide("structures", figure)
    for item in every_chart(report):
        item.figure.set_size_inches(*PAGE_INCHES)
        item.figure.set_layout_engine("constrained", rect=_INNER)
        item.figure.suptitle(item.title, x=_LEFT, y=0.975, ha="left", fontweight="bold")
        yield Slide(item.key, item.figure)
    if report.network is not None:
        yield Slide("network", _in_wide_page(report.network))
    for number, case in enumerate(report.cases[:_MAX_CASES], start=1):
        yield Slide(f"case-{number}", _case_figure(case, report))


def _text_figures(report: Report) -> Iterator[Figure]:
    """Name and headline in words; what does not fit goes on below the same name."""
    figure, top = _headed(report.name), _TEXT_TOP
    for text, colour in _paragraphs(report):
        for line in textwrap.wrap(text, _LETTERS_A_LINE):
            if top < _BOTTOM:
                yield figure
                figure, top = _headed(report.name), _TEXT_TOP
            figure.text(_LEFT, top, line, fontsize=8.5, color=colour, va="top")
            top -= _LINE_HEIGHT
        top -= _PARAGRAPH_GAP
    yield figure


def _paragraphs(report: Report) -> Iterator[tuple[str, str]]:
    """Text and colour of each."""
    yield " · ".join(report.provenance.values()), QUIET
    warnings = [*alarms(report), *report.notes]
    for text in warnings[:_MAX_WARNINGS]:
        yield f"Careful. {text}", WORSE
    if len(warnings) > _MAX_WARNINGS:
        yield f"and {len(warnings) - _MAX_WARNINGS} more, on the page", WORSE
    yield " ".join(meaning(report)), INK
    yield folds_text(report), QUIET


def _headed(name: str) -> Figure:
    figure = Figure(figsize=PAGE_INCHES)
    size = _HEADING_POINTS * min(1.0, _LETTERS_OF_HEADING / max(len(name), 1))
    figure.text(_LEFT, 0.88, name, fontsize=size, fontweight="bold")
    return figure


def _table_figures(report: Report) -> Iterator[Figure]:
    """The table of structures, so many rows a page."""
    rows = list(structure_rows(report))
    for start in range(0, len(rows), _ROWS_A_PAGE):
        yield _table_figure(report, rows[start : start + _ROWS_A_PAGE])


@chart
def _table_figure(report: Report, rows: list[StructureRow]) -> Figure:
    figure = Figure(figsize=PAGE_INCHES)
    title = "Mean of each structure with its 95 % interval"
    figure.suptitle(title, x=_LEFT, y=0.975, ha="left", fontweight="bold")
    height = _ROW_HEIGHT * (len(rows) + 1)
    axes = figure.add_axes((_LEFT, 0.9 - height, _RIGHT - _LEFT, height))
    axes.set_axis_off()
    table = axes.table(
        [
            [_in_lines(row.name), *row.figures, str(row.false_negative), str(row.false_positive)]
            for row in rows
        ],
        colLabels=["structure", *headline_columns(report), "false\nnegative", "false\npositive"],
        cellLoc="left",
        colLoc="left",
        edges="horizontal",
        bbox=Bbox.from_bounds(0, 0, 1, 1),
        colWidths=[0.15, 0.16, 0.205, 0.155, 0.2, 0.06, 0.07],
    )
    table.auto_set_font_size(False)
    table.set_fontsize(6.4)
    for (number, _), cell in table.get_celld().items():
        cell.set_edgecolor(LINE)
        cell.get_text().set_color(QUIET if number == 0 else INK)
    return figure


def _in_lines(name: str) -> str:
    """A name as broad as its column and no higher than its row."""
    return "\n".join(textwrap.wrap(name, _LETTERS_OF_NAME, max_lines=3, placeholder="…"))


def _in_wide_page(figure: Figure) -> Figure:
    """The same drawing in its own proportions, with room at its sides."""
    width, height = figure.get_size_inches()
    width = max(width, height * PAGE_INCHES[0] / PAGE_INCHES[1])
    for axes in figure.axes:
        axes.set_aspect("equal", adjustable="box")
    figure.set_size_inches(width, width * PAGE_INCHES[1] / PAGE_INCHES[0])
    return figure


@chart
def _case_figure(case: ReportedCase, report: Report) -> Figure:
    """The panels of a case in a row, its error maps below."""
    panels = case.panels
    figure = Figure(figsize=PAGE_INCHES)
    figure.set_layout_engine("constrained", rect=_INNER)
    figure.suptitle(
        f"{panels.case}: {case.role}, {panels.place}", x=_LEFT, ha="left", fontweight="bold"
    )
    above, below = figure.subfigures(2, 1, height_ratios=(1.5, 1), squeeze=False)[:, 0]
    _draw_pictures(above.subplots(1, len(panels.panels), squeeze=False)[0], panels.panels)
    maps = panels.maps if panels.colour_bar is None else (*panels.maps, panels.colour_bar)
    widths = [*(panel.width for panel in maps), MAP_PIXELS]
    places = below.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
    _draw_pictures(places[: len(maps)], maps)
    _draw_legend(places[-1], panels, report)
    return figure


def _draw_pictures(places: list[Axes], panels: tuple[Panel, ...]) -> None:
    for axes, panel in zip(places, panels, strict=True):
        axes.imshow(np.asarray(Image.open(io.BytesIO(panel.content)).convert("RGB")))
        axes.set_title(panel.caption, fontsize=7, color=QUIET)
        axes.set_axis_off()


def _draw_legend(axes: Axes, panels: CasePanels, report: Report) -> None:
    colours = {name.replace("_", " "): colour for name, colour in report.colours.items()}
    if panels.maps:
        colours |= {
            "agreement": AGREEMENT,
            "false positive": FALSE_POSITIVE,
            "false negative": FALSE_NEGATIVE,
            "wrong structure": CONFUSED,
        }
    axes.set_axis_off()
    axes.legend(
        handles=[Patch(color=colour, label=name) for name, colour in colours.items()],
        loc="center left",
    )
