"""The report in a real browser: no error, no request, tables that sort, pages that fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.phantom_run import CASES, write_run

from slicewise.workflows.report import ReportOptions
from slicewise.workflows.report import report as write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small run beside itself."""
    folder = tmp_path_factory.mktemp("report")
    write_run(folder / "run", folder / "data")
    run, data = folder / "run", folder / "data"
    options = ReportOptions(run, folder / "out", data, against=run, work=folder / "work")
    return write_report(options).page


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
