"""A report in; out its charts and cases as a PDF of wide pages and as a PNG each, for slides."""

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

from pipeline.imaging.files import atomic_file
from pipeline.reporting.case_panels import CasePanels, Panel
from pipeline.reporting.charts import INK, LINE, QUIET, WORSE, chart, chart_style, write_figure
from pipeline.reporting.outlines import AGREEMENT, CONFUSED, EXTRA, LACKING
from pipeline.reporting.report import Report, ReportedCase
from pipeline.reporting.report_charts import every_chart
from pipeline.reporting.report_tables import headline_columns, structure_rows
from pipeline.reporting.report_text import alarms, folds_text, meaning

PAGE_INCHES = (8.0, 4.5)
"""16 to 9, and so small that the letters of a chart are large on a wall."""
_LEFT, _RIGHT = 0.05, 0.95
_INNER = (0.04, 0.04, 0.92, 0.92)
"""What a chart fills: left, bottom, width and height, as shares of the page."""
_MOST_STRUCTURES = 8
_LETTERS_A_LINE = 112
_MOST_CASES = 40


@dataclass(frozen=True)
class Slide:
    """A page with the name of its picture."""

    key: str
    figure: Figure


def write_slides(report: Report, pdf: Path, pictures: Path) -> None:
    """Write every slide as a page of a PDF, and as a PNG.

    Args:
        report: what is told.
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
    yield Slide("title", _title_figure(report))
    for item in every_chart(report):
        item.figure.set_size_inches(*PAGE_INCHES)
        item.figure.set_layout_engine("constrained", rect=_INNER)
        item.figure.suptitle(item.title, x=_LEFT, y=0.975, ha="left", fontweight="bold")
        yield Slide(item.key, item.figure)
    if report.network is not None:
        yield Slide("network", _in_wide_page(report.network))
    for number, case in enumerate(report.cases[:_MOST_CASES], start=1):
        yield Slide(f"case-{number}", _case_figure(case, report))


@chart
def _title_figure(report: Report) -> Figure:
    """Name, headline and the table of structures."""
    figure = Figure(figsize=PAGE_INCHES)
    figure.text(_LEFT, 0.88, report.name, fontsize=20, fontweight="bold")
    top = _paragraph(figure, " · ".join(report.provenance.values()), 0.84, QUIET)
    for text in [*alarms(report), *report.notes]:
        top = _paragraph(figure, f"Careful. {text}", top, WORSE)
    top = _paragraph(figure, " ".join(meaning(report)), top - 0.01, INK)
    top = _paragraph(figure, folds_text(report), top, QUIET)
    if report.summaries:
        _draw_table(figure, report, top)
    return figure


def _paragraph(figure: Figure, text: str, top: float, colour: str) -> float:
    """Write some lines; returns where the next ones begin."""
    lines = textwrap.wrap(text, _LETTERS_A_LINE)
    figure.text(
        _LEFT, top, "\n".join(lines), fontsize=8.5, color=colour, va="top", linespacing=1.35
    )
    return top - 0.048 * len(lines) - 0.015


def _draw_table(figure: Figure, report: Report, top: float) -> None:
    rows = list(structure_rows(report))
    columns = ["structure", *headline_columns(report), "missed", "invented"]
    cells = [
        [row.name, *row.figures, str(row.missed), str(row.invented)]
        for row in rows[:_MOST_STRUCTURES]
    ]
    if len(rows) > _MOST_STRUCTURES:
        cells.append([f"and {len(rows) - _MOST_STRUCTURES} more", *[""] * (len(columns) - 1)])
    height = min(0.065 * (len(cells) + 1), top - 0.03)
    axes = figure.add_axes((_LEFT, top - height, _RIGHT - _LEFT, height))
    axes.set_axis_off()
    table = axes.table(
        cells,
        colLabels=columns,
        cellLoc="left",
        colLoc="left",
        edges="horizontal",
        bbox=Bbox.from_bounds(0, 0, 1, 1),
        colWidths=[0.13, 0.19, 0.19, 0.165, 0.205, 0.055, 0.065],
    )
    table.auto_set_font_size(False)
    table.set_fontsize(6.8)
    for (row, _), cell in table.get_celld().items():
        cell.set_edgecolor(LINE)
        cell.get_text().set_color(QUIET if row == 0 else INK)


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
    places = below.subplots(1, len(panels.maps) + 1, squeeze=False)[0]
    _draw_pictures(places[: len(panels.maps)], panels.maps)
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
            "only predicted": EXTRA,
            "only in the reference": LACKING,
            "another structure": CONFUSED,
        }
    axes.set_axis_off()
    axes.legend(
        handles=[Patch(color=colour, label=name) for name, colour in colours.items()],
        loc="center left",
    )
