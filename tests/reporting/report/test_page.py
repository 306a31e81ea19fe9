"""The page: one file, everything said, nothing fetched, every name inert."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup

from slicewise.evaluation.statistics import METRICS
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume
from slicewise.reporting.report.contents import Compared, Report
from slicewise.reporting.report.page import write_report_page
from slicewise.reporting.viewer.page import ViewedScan, ViewerParts, viewer_parts

MakeReport = Callable[..., Report]
EVIL = "</script><script>alert(1)</script>\"><img src=x onerror=alert(2)>'"
VOID = {"meta", "img", "input", "br", "link"}
# An SVG writes these without an end.
SVG_VOID = {"path", "use", "image"}


class Page(HTMLParser):
    """What a browser makes of the page: elements with attributes, and the text of each."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def all_of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def texts_in(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    @property
    def text(self) -> str:
        return " ".join(text for name, text in self.texts if name not in ("style", "script"))

    @property
    def policy(self) -> str:
        return next(
            str(meta["content"])
            for meta in self.all_of("meta")
            if meta.get("http-equiv") == "Content-Security-Policy"
        )


@pytest.fixture(scope="module")
def usual(a_report: MakeReport, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a report with nothing special."""
    path = tmp_path_factory.mktemp("usual") / "report.html"
    write_report_page(a_report(), path)
    return Page(path)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Report], Page]:
    def write(report: Report) -> Page:
        write_report_page(report, tmp_path / "report.html")
        page = Page(tmp_path / "report.html")
        assert page.open == []
        return page

    return write


Written = Callable[[Report], Page]


def test_the_headline_stands_at_the_top(usual: Page) -> None:
    assert usual.texts_in("h1") == ["phantom"]
    assert usual.text.index("0.855") < usual.text.index("Mean of each structure")
    assert "95 % interval 0.83" in usual.text
    for text in ("rim zone", "12 held-out cases", "0 false negatives", "0 false positives"):
        assert text in usual.text
    assert "Folds were made by patient, each case taken for a patient of its own" in usual.text
    # Nothing tells which cases share a patient.
    assert not re.search(r"\d patients", usual.text)
    assert (
        "a structure that is only in the reference (false negative), or only predicted"
        in usual.text.lower()
    )


def test_alarms_are_loud(a_report: MakeReport, written: Written) -> None:
    report = a_report()
    (fold,) = report.folds
    assert fold.facts is not None
    shared = replace(fold, facts=replace(fold.facts, shared_patients=4))
    page = written(replace(report, folds=(shared,), notes=("something is left out",)))
    assert "Careful. 4 patients with scans on both sides" in page.text
    assert any(attributes.get("class") == "alarm" for attributes in page.all_of("p"))
    assert "something is left out" in page.text


def test_a_baseline_is_compared(
    a_report: MakeReport, compared: Callable[[Report], Compared], written: Written
) -> None:
    report = a_report()
    beside = compared(report)
    (dice,) = beside.comparisons
    rows = (replace(dice.rows[0], undefined=3), *dice.rows[1:])
    distance = replace(dice, metric=METRICS["hd95_mm"], rows=rows)
    page = written(replace(report, compared=(replace(beside, comparisons=(dice, distance)),)))
    assert "Is it better than simple thresholding?" in page.texts_in("h2")
    assert "network and baseline on the same cases" in page.texts_in("caption")
    cells = page.texts_in("td")
    place = cells.index("0.655")
    assert cells[place - 1 : place + 2] == ["12", "0.655", "0.855"]
    assert "12 of 15" in cells
    assert page.text.count("where both found it") == 1
    assert cells[place + 2].startswith("+0.200")
    assert "better" in cells
    assert "few" in page.texts_in("li")


def test_every_case_has_a_row(
    a_report: MakeReport, a_score: Any, undefined: dict[str, float], written: Written
) -> None:
    rows = (
        a_score("one", "core", dice=0.3, patient="p1"),
        a_score("two", "core", state="both empty", **undefined),
    )
    page = written(a_report(scores=rows, cases=()))
    head = page.texts_in("button")
    assert head[:5] == ["case", "patient", "structure", "state", "Dice"]
    table = page.source.partition('<table id="all"')[2].partition("</table>")[0]
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in table.split("<tr")[2:]]
    assert [row[:5] for row in found] == [
        ["one", "p1", "core", "detected", "0.300"],
        ["two", "two", "core", "both empty", "\N{EN DASH}"],
    ]
    assert all(len(row) == len(head) for row in found)
    assert table.count('class="failed"') == 1


def test_failures_lead_to_their_pictures(
    a_report: MakeReport, a_score: Any, written: Written
) -> None:
    rows = (
        a_score("case11", "core", state="false negative", dice=0.0, predicted_ml=0.0),
        a_score("case11", "rim_zone"),
        a_score("unseen", "core", dice=0.2, patient="p"),
    )
    page = written(a_report(scores=rows))
    assert "4 ml not found" in page.texts_in("td")
    ids = {attributes.get("id") for _, attributes in page.elements}
    links = [str(link["href"]) for link in page.all_of("a")]
    assert "#case-1" in links
    assert {link[1:] for link in links} <= ids
    assert page.source.count(">unseen</") == 2  # in both tables, and nowhere to go


def test_nothing_failed_is_said(usual: Page) -> None:
    assert "No case is listed as a failure or outlier." in usual.text


def test_cases_have_pictures_with_words(usual: Page) -> None:
    pictures = usual.all_of("img")
    assert len(pictures) == 7
    for picture in pictures:
        kind, _, content = str(picture["src"]).partition(",")
        assert kind == "data:image/webp;base64"
        assert base64.b64decode(content)[:4] == b"RIFF"
        assert "case11" in str(picture["alt"])
        assert int(str(picture["width"])) > 0
    assert "a false-positive component" in usual.text
    assert "Dice 0.910, HD95 2.0 mm, volume 4.1 of 4 ml" in usual.text


def test_charts_have_words_and_ids_of_their_own(usual: Page) -> None:
    charts = usual.all_of("svg")
    assert len(charts) == 4 + 4 + 1 + 2
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)
    ids = [attributes["id"] for _, attributes in usual.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_how_it_was_made(usual: Page) -> None:
    facts = dict(zip(usual.texts_in("dt"), usual.texts_in("dd"), strict=True))
    assert facts["training"] == "30 cases, 900 slices"
    assert facts["contrasts"] == "T2"
    assert facts["slices"] == "axial"
    assert facts["modality"] == "MR"
    assert facts["unlike all others"] == "1 of 12 held-out cases; case3: echo time 98 ms"
    assert facts["what"] == "U-Net, fold 2"
    assert "the file is truncated" in usual.texts_in("td")
    assert "features:" in usual.texts_in("pre")[0]


def test_without_scores(a_report: MakeReport, written: Written) -> None:
    report = a_report(scores=(), headline=None, summaries=(), failures=(), cases=())
    (fold,) = report.folds
    page = written(replace(report, folds=(replace(fold, facts=None, reliability={}),)))
    assert [text for text in page.texts_in("h2") if text != "Summary"] == ["Method"]
    assert len(page.all_of("svg")) == 2


def test_masks_alone(a_report: MakeReport, written: Written) -> None:
    report = a_report(
        folds=(), scores=(), headline=None, summaries=(), cases=(),
        volumes_ml={"core": {"a": 2.5, "b": 0.0}, "rim_zone": {"a": 1.0, "b": 1.0}},
    )  # fmt: skip
    page = written(report)
    cells = page.texts_in("td")
    assert [cells[n : n + 3] for n in range(0, len(cells), 3)] == [
        ["core", "predicted", "2.5"],
        ["core", "empty", "0"],
        ["rim zone", "predicted", "1"],
        ["rim zone", "predicted", "1"],
    ]
    assert "Dice" not in page.text.partition("What counts as a failure")[0].replace("low Dice", "")


@pytest.mark.fault(86, "OK")
def test_names_are_inert_wherever_they_stand(
    a_report: MakeReport, a_score: Any, compared: Callable[[Report], Compared], written: Written
) -> None:
    names = (EVIL, "b" + EVIL)
    rows = tuple(
        a_score(case, name, dice=0.2, patient=EVIL) for case in (EVIL, "case11") for name in names
    )
    report = a_report(
        structures=names, scores=rows, name=EVIL, notes=(EVIL,), provenance={EVIL: EVIL}
    )
    (fold,) = report.folds
    assert fold.facts is not None
    facts = replace(fold.facts, set_aside={EVIL: EVIL}, folds=EVIL)
    (case,) = report.cases
    panels = replace(case.panels, case=EVIL, place=EVIL)
    page = written(
        replace(
            report,
            folds=(replace(fold, facts=facts),),
            compared=(replace(compared(report), name=EVIL, caveats=(EVIL,)),),
            cases=(replace(case, panels=panels, role=EVIL, notes=(EVIL,)),),
        )
    )
    assert len(page.all_of("script")) == 1
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert page.texts_in("h1") == [EVIL]
    assert page.text.count("alert(1)") >= 20


@pytest.mark.fault(68, "OK")
def test_any_name_of_a_file_is_shown(a_report: MakeReport, a_score: Any, written: Written) -> None:
    rows = (a_score("a\udcff", "core", dice=0.1), a_score("漢 ü", "core"))
    page = written(a_report(scores=rows, cases=()))
    assert {"a?", "漢 ü"} <= set(page.texts_in("th"))


def test_nothing_is_fetched_and_own_scripts_may_run(usual: Page) -> None:
    for name, attributes in usual.elements:
        for key in ("src", "href", "srcset", "action", "data"):
            value = str(attributes.get(key) or "data:")
            assert value.startswith(("data:", "#")), (name, value)
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest", usual.source)
    assert "default-src 'none'" in usual.policy
    script = usual.source.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in usual.policy


def test_the_viewer_joins_the_page(a_report: MakeReport, written: Written) -> None:
    scan = Volume(np.arange(60.0).reshape(3, 4, 5), np.eye(4))
    parts = viewer_parts([ViewedScan("alpha", scan)], 10**6)
    page = written(a_report(viewer=parts))
    assert "Viewer" in page.texts_in("h2")
    for sources in parts.policy.values():
        assert set(sources.split()) <= set(page.policy.replace(";", "").split())
    assert page.policy.count("sha256-") == 1 + len(parts.scripts)
    empty = ViewerParts(Markup(), Markup(), (), {}, ("alpha",))
    assert "Viewer" not in written(a_report(viewer=empty)).texts_in("h2")


def test_accessible(usual: Page) -> None:
    assert 'href="#main"' in usual.source.partition("<nav")[0]
    tables, captions = usual.all_of("table"), usual.all_of("caption")
    assert len(tables) == len(captions) >= 3
    scrolling = [item for item in usual.all_of("div") if "scroll" in str(item.get("class"))]
    assert all(item["tabindex"] == "0" and item["aria-label"] for item in scrolling)
    levels = [int(tag[1]) for tag, _ in usual.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert "prefers-color-scheme: dark" in usual.source
    assert "prefers-reduced-motion" in usual.source
    assert "@media print" in usual.source


def luminance(colour: str) -> float:
    parts = [value / 255 for value in bytes.fromhex(colour.removeprefix("#"))]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_inks_can_be_read_on_both_grounds(usual: Page) -> None:
    schemes = re.findall(r":root \{(.*?)\}", usual.source, re.DOTALL)
    assert len(schemes) == 3  # light, dark, paper
    for scheme in schemes:
        inks = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for ink in ("ink", "quiet", "problem", "warning", "note", "good"):
            for ground in ("paper", "card"):
                pair = sorted((luminance(inks[ink]), luminance(inks[ground])))
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (ink, ground)


def test_five_hundred_cases_stay_small(
    a_report: MakeReport, a_score: Any, written: Written
) -> None:
    rows = tuple(
        a_score(f"case{n:03}", name, dice=0.5 + n / 1200) for n in range(500)
        for name in ("core", "rim_zone")
    )  # fmt: skip
    page = written(a_report(scores=rows))
    assert len(page.source) < 4_000_000
    assert page.source.count(">case499</th>") == 2


def test_many_structures(a_report: MakeReport, a_score: Any, written: Written) -> None:
    names = [f"part{n}" for n in range(12)]
    rows = tuple(a_score("a", name, dice=math.nan if name == "part3" else 0.9) for name in names)
    structures = tuple(Structure(name, n + 1, "#123456") for n, name in enumerate(names))
    report = replace(a_report(scores=rows, cases=(), folds=()), structures=structures)
    assert set(names) <= set(written(report).texts_in("th"))
