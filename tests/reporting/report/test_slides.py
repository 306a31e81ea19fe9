"""Every slide is a page of the PDF and a PNG, the same again each time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib import image as images

from slicewise.errors import OutputError
from slicewise.imaging.structures import Structure
from slicewise.reporting.figures.architecture import architecture_figure
from slicewise.reporting.report.contents import Compared, Report
from slicewise.reporting.report.slides import _text_figures, write_slides
from slicewise.segmentation.architecture import describe_layers
from slicewise.segmentation.unet import UNet

MakeReport = Callable[..., Report]


def slides(report: Report, folder: Path) -> list[str]:
    """Names of the pictures without their numbers."""
    write_slides(report, folder / "report.pdf", folder / "figures")
    names = sorted(path.stem for path in (folder / "figures").iterdir())
    assert [name[:2] for name in names] == [f"{n:02}" for n in range(1, len(names) + 1)]
    pages = len(re.findall(rb"/Type /Page\b", (folder / "report.pdf").read_bytes()))
    assert pages == len(names)
    return [name[3:] for name in names]


@pytest.mark.slow
def test_all_that_the_page_draws(
    a_report: MakeReport, compared: Callable[[Report], Compared], tmp_path: Path
) -> None:
    report = a_report()
    network = architecture_figure(describe_layers(UNet(3, 3, (4, 8)), 16, 16), 3)
    report = replace(report, compared=(compared(report),), network=network)
    assert slides(report, tmp_path) == [
        "title",
        "structures",
        "against-baseline",
        "spread-dice",
        "spread-surface-dice",
        "spread-hd95-mm",
        "spread-relative-volume-error",
        "volumes-1-core",
        "agreement-1-core",
        "volumes-2-rim-zone",
        "agreement-2-rim-zone",
        "reliability",
        "loss",
        "validation",
        "network",
        "case-1",
    ]
    for path in (tmp_path / "figures").iterdir():
        height, width, _ = images.imread(path).shape
        assert width / height == pytest.approx(16 / 9, rel=0.01)


@pytest.mark.slow
def test_many_structures_with_long_names_and_many_warnings(
    a_report: MakeReport, a_score: Any, compared: Callable[[Report], Compared], tmp_path: Path
) -> None:
    names = [f"left_superior_frontal_gyrus_of_part_{n:02}" for n in range(12)]
    rows = tuple(
        a_score(f"case{n}", name, dice=0.8 + 0.01 * n + 0.001 * place)
        for n in range(9) for place, name in enumerate(names)
    )  # fmt: skip
    rows = (
        a_score("case0", names[0], state="false negative", dice=0.0, predicted_ml=0.0),
        *rows[1:],
    )
    structures = tuple(Structure(name, n + 1, "#123456") for n, name in enumerate(names))
    report = replace(a_report(scores=rows, cases=()), structures=structures)
    (fold,) = report.folds
    assert fold.facts is not None
    fold = replace(
        fold, facts=replace(fold.facts, shared_patients=3), losses=(), validations=(),
        reliability={},
    )  # fmt: skip
    beside = compared(report)
    others = (beside, replace(beside, kind="other run", name="an_older_run"))
    report = replace(report, folds=(fold,), compared=others, notes=tuple("abcdef"))
    # Twelve rows: eight, then four.
    assert [name for name in slides(report, tmp_path) if name.startswith(("ti", "st"))][-2:] == [
        "structures",
        "structures",
    ]
    for figure in _text_figures(report):
        lowest = [text.get_window_extent().y0 for text in figure.texts]
        assert min(lowest) > 0
    said = [text.get_text() for figure in _text_figures(report) for text in figure.texts]
    careful = [text for text in said if text.startswith("Careful.")]
    assert len(careful) == 4
    # Three alarms and six notes, less the four.
    assert "and 6 more, on the page" in said


def test_masks_alone_and_names_with_markup(a_report: MakeReport, tmp_path: Path) -> None:
    report = a_report(
        folds=(), scores=(), headline=None, summaries=(), failures=(), cases=(),
        volumes_ml={"core": {"a": 2.5}, "rim_zone": {"a": 1.0}}, name="a/b $x$ <b>",
    )  # fmt: skip
    assert slides(report, tmp_path) == ["title", "volumes"]


def test_same_report_same_bytes(a_report: MakeReport, tmp_path: Path) -> None:
    report = a_report(folds=(), scores=(), headline=None, summaries=(), failures=())
    for name in ("a", "b"):
        slides(report, tmp_path / name)
    for path in (tmp_path / "a").rglob("*.p*"):
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes()


def test_a_place_that_cannot_be_written(a_report: MakeReport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        write_slides(a_report(), tmp_path / "file" / "report.pdf", tmp_path / "figures")
