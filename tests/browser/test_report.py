"""The report in a real browser: no error, no request, tables that sort, pages that fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicewise.cli.report_run import ReportJob, gather
from slicewise.config import as_yaml, parse_config
from slicewise.evaluation.results import RunFacts, write_losses, write_results
from slicewise.evaluation.scores import Score, score_case
from slicewise.imaging.files import write_text
from slicewise.imaging.nifti.writing import write_mask, write_volume
from slicewise.imaging.structures import structures_of
from slicewise.imaging.volume import Volume
from slicewise.reporting.report.folder import write_report

pytestmark = pytest.mark.slow

LABELS = {"core": 1, "</script><b>rim</b>": 2}
CONFIG = """
name: phantom
data: {labels: {core: 1, "</script><b>rim</b>": 2}}
preprocessing: {plane: axial}
network: {features: [4, 8], window: [16, 16]}
training: {steps: 40}
"""
SHAPE = (30, 24, 9)
CASES = 7


def write_case(data: Path, masks: Path, name: str, shift: int) -> list[Score]:
    """An oblique scan with two blocks, predicted some voxels too far to the left."""
    turn = np.radians(9)
    affine = np.eye(4)
    affine[:2, :2] = [[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine = affine @ np.diag([1.5, 1.2, 4.0, 1.0])
    label = np.zeros(SHAPE, np.uint8)
    label[8:20, 6:16, 2:7] = 1
    label[20:24, 6:16, 2:5] = 2
    noise = np.random.default_rng(shift).normal(100, 5, SHAPE)
    scan = Volume((noise + 60 * label).astype(np.float32), affine, name)
    reference, predicted = scan.with_voxels(label), scan.with_voxels(np.roll(label, shift, 0))
    write_volume(scan, data / "images" / f"{name}.nii.gz")
    write_mask(reference, scan, data / "labels" / f"{name}.nii.gz")
    write_mask(predicted, scan, masks / f"{name}.nii.gz")
    return score_case(name, predicted, reference, structures_of(LABELS, {})).scores


def write_run(run: Path, data: Path) -> None:
    scores: list[Score] = []
    for number in range(CASES):
        shift = 9 if number == CASES - 1 else number % 3
        scores += write_case(data, run / "masks", f"case{number}", shift)
    facts = RunFacts(
        "phantom", "network", 0, "by patient", 30, 25, 900, CASES, CASES, 0, {}, 90.0, "0.1.0",
        "2026-11-22",
    )  # fmt: skip
    write_results(run, facts, scores, {})
    write_text(run / "config.yaml", as_yaml(parse_config(CONFIG, "test")))
    write_losses(run / "losses.csv", [1.0, 0.5, 0.25])


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small run beside itself."""
    folder = tmp_path_factory.mktemp("report")
    write_run(folder / "run", folder / "data")
    job = ReportJob.of(
        str(folder / "run"), folder / "work", folder / "data", None, str(folder / "run"),
        with_viewer=True,
    )  # fmt: skip
    write_report(gather(job), folder / "out")
    return folder / "out" / "report.html"


@pytest.fixture
def page(report: Path, open_page: Callable[..., Any]) -> Any:
    return open_page(report)


def column(page: Any, number: int) -> Sequence[str]:
    """Texts of the rows of the table of all cases that are to be seen."""
    found: Sequence[str] = page.run(
        "return [...document.querySelectorAll('#all tbody tr:not([hidden])')]"
        f".map((row) => row.cells[{number}].textContent)"
    )
    return found


def test_no_error_and_no_request(page: Any) -> None:
    page.run("document.getElementById('viewer').scrollIntoView()")
    page.wait("document.querySelector('.slicewise-viewer').dataset.state !== 'waiting'")
    page.settle()
    assert page.errors() == []
    assert page.requests() == []


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(
    report: Path, open_page: Callable[..., Any], width: int, scheme: str
) -> None:
    page = open_page(report, width=width)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    assert page.run("return document.documentElement.scrollWidth") == width
    ground = page.run("return getComputedStyle(document.body).backgroundColor")
    ink = page.run("return getComputedStyle(document.querySelector('svg.chart text')).fill")
    dark = {"rgb(16, 19, 23)", "rgb(230, 233, 237)"}
    assert ({ground, ink} == dark) == (scheme == "dark")


def test_pictures_are_decoded(page: Any) -> None:
    page.wait("[...document.images].every((image) => image.complete)")
    widths = page.run("return [...document.images].map((image) => image.naturalWidth)")
    assert len(widths) >= 6 * 3
    assert min(widths) > 0


def test_the_table_sorts_by_click_and_by_key(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    headings = page.run("return [...document.querySelectorAll('#all th button')]")
    (dice,) = (item for item in headings if item.text == "Dice")
    page.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", dice)
    place = headings.index(dice)
    dice.click()
    values = [float(text) for text in column(page, place)]
    assert values == sorted(values)
    assert len(values) == 2 * CASES
    dice.send_keys(Keys.ENTER)
    assert [float(text) for text in column(page, place)] == values[::-1]
    sorted_by = "return arguments[0].closest('th').getAttribute('aria-sort')"
    assert page.run(sorted_by, dice) == "descending"


def test_undefined_figures_come_last_either_way(page: Any) -> None:
    headings = page.run("return [...document.querySelectorAll('#all th button')]")
    (distance,) = (item for item in headings if item.text.startswith("HD95"))
    place = headings.index(distance)
    page.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", distance)
    blank = "\N{EN DASH}"
    for _ in range(2):
        distance.click()
        texts = list(column(page, place))
        assert blank not in texts[: len(texts) - texts.count(blank)]


def test_the_table_filters(page: Any) -> None:
    from selenium.webdriver.support.select import Select

    wanted = page.find("#wanted")
    page.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", wanted)
    wanted.send_keys("CASE3")
    assert set(column(page, 0)) == {"case3"}
    assert page.find("#shown").text == f"2 of {2 * CASES} rows shown"
    wanted.clear()
    page.run("arguments[0].dispatchEvent(new Event('input'))", wanted)
    page.find("#only").click()
    assert set(column(page, 0)) == {f"case{CASES - 1}"}
    Select(page.find("#structure")).select_by_index(2)
    assert set(column(page, 2)) == {"</script><b>rim</b>"}


def test_every_link_leads_somewhere(page: Any) -> None:
    assert page.run(
        "return [...document.querySelectorAll('a')]"
        ".filter((link) => !document.querySelector(link.getAttribute('href'))).length"
    ) == 0  # fmt: skip


def test_skip_link_and_focus(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page.find("body").send_keys(Keys.TAB)
    assert page.run("return document.activeElement.className") == "skip"
    left = page.run("return document.activeElement.getBoundingClientRect().left")
    assert left >= 0


def test_prints_on_white_with_every_case(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report)
    media = {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    assert page.run(style, "body", "backgroundColor") == "rgb(255, 255, 255)"
    assert page.run(style, "nav", "display") == "none"
    assert page.run(style, "#viewer", "display") == "none"
    shown = "return arguments[0].scrollHeight <= arguments[0].clientHeight + 1"
    assert page.run(shown, page.find(".tall"))
