"""The page of the data check: one file, problems first, nothing fetched, every name inert."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from slicewise.config import DataSection
from slicewise.dataset.case_qc import CheckedCase, Intensities
from slicewise.dataset.catalogue import SetAside
from slicewise.dataset.cohort_qc import compare
from slicewise.dataset.fingerprints import Digests
from slicewise.errors import OutputError
from slicewise.imaging.structures import Structure
from slicewise.reporting.data_check import page as data_check_page
from slicewise.reporting.data_check.page import DataCheckPage, write_data_check_page
from slicewise.reporting.data_check.thumbnails import Thumbnail

EVIL = "<script>alert(1)</script>\"><img src=x onerror=alert(2)>'"
PICTURE = Thumbnail(b"RIFF a small picture", 200, 240, "axial", 3, 7)
DATA = DataSection(labels={"core": 1})


class Page(HTMLParser):
    """What a browser makes of the page: elements with attributes, and the text of each."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.elements[-1][0], data.strip()))

    def all_of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def texts_in(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    @property
    def text(self) -> str:
        return " ".join(text for name, text in self.texts if name not in ("style", "script"))


SAME = Digests("same", "same")


def a_case(name: str, **facts: Any) -> CheckedCase:
    usual: dict[str, Any] = {
        "patient": "MRN-4711",
        "shape": (30, 40, 50),
        "spacing_mm": (1.0, 1.25, 3.0),
        "orientation": "LAS",
        "plane": "axial",
        "intensities": {"T1": Intensities(0, 10, 50, 1210, 2300)},
        "labelled": True,
        "structures": {1: 2.5, 7: 0.25},
        "digests": {"image": Digests(name, name)},
        "label_digest": name,
    }
    return CheckedCase(name, **(usual | facts))


def a_page(cases: list[CheckedCase], **parts: Any) -> DataCheckPage:
    usual: dict[str, Any] = {
        "title": "brains",
        "overview": compare(cases, DATA),
        "set_aside": (),
        "thumbnails": {case.name: PICTURE for case in cases},
        "structures": (Structure("core", 1, "#E69F00"),),
    }
    return DataCheckPage(cases=cases, **(usual | parts))


def written(page: DataCheckPage, tmp_path: Path) -> Page:
    path = tmp_path / "page.html"
    write_data_check_page(page, path)
    return Page(path)


def test_a_card_tells_the_facts(tmp_path: Path) -> None:
    page = written(a_page([a_case("alpha")]), tmp_path)
    assert page.texts_in("h1") == ["brains"]
    assert page.texts_in("h3") == ["alpha"]
    facts = dict(zip(page.texts_in("dt"), page.texts_in("dd"), strict=False))
    assert facts["size"] == "30 x 40 x 50"
    assert facts["spacing"] == "1 x 1.25 x 3 mm"
    assert facts["axes, plane"] == "LAS, axial"
    assert facts["T1"] == "10 to 1,210, extremes 0 and 2,300"
    for text in ("core", "2.5 ml", "label 7", "0.25 ml", "axial 3 of 7", "no findings"):
        assert text in page.text


def test_the_picture_is_part_of_the_file(tmp_path: Path) -> None:
    (picture,) = written(a_page([a_case("alpha")]), tmp_path).all_of("img")
    kind, _, content = str(picture["src"]).partition(",")
    assert kind == "data:image/webp;base64"
    assert base64.b64decode(content) == PICTURE.content
    assert (picture["width"], picture["height"]) == ("200", "240")


def test_problems_come_first(tmp_path: Path) -> None:
    cases = [
        a_case("sound"),
        a_case("noted", notes=["spacing I-S 6 mm, median 3 mm (robust z +34.7)"]),
        a_case("warned", warnings=["the label is empty"]),
        a_case("broken", problems=["the file is truncated"], warnings=["odd"]),
    ]
    page = written(a_page(cases), tmp_path)
    assert page.texts_in("h3") == ["broken", "warned", "noted", "sound"]
    flags = [card["data-findings"] for card in page.all_of("article")]
    assert flags == ["yes", "yes", "yes", "no"]
    assert page.text.index("truncated") < page.text.index("odd") < page.text.index("robust z +34")


def test_the_summary_counts(tmp_path: Path) -> None:
    cases = [
        a_case("a", digests={"image": SAME}, label_digest="same"),
        a_case("b", digests={"image": SAME}, label_digest="same"),
        a_case("c", structures={}, warnings=["the label is empty"]),
    ]
    set_aside = [SetAside("dicom-1", "/secret/path", "expected a, found b", "do c")]
    page = written(a_page(cases, set_aside=set_aside), tmp_path)
    counts = re.findall(r"(\d+) (scans?|patients?|with labels|empty labels?|unusable)", page.text)
    assert counts[:5] == [
        ("3", "scans"),
        ("1", "patient"),
        ("3", "with labels"),
        ("1", "empty label"),
        ("2", "unusable"),
    ]
    assert "1 set aside" in page.text
    assert "the same scan under several names: a, b" in page.text
    assert page.texts_in("td") == ["dicom-1", "expected a, found b", "do c"]


def test_neither_patients_nor_paths_are_told(tmp_path: Path) -> None:
    set_aside = [SetAside("dicom-1", "/secret/path", "expected a, found b", "do c")]
    page = written(a_page([a_case("a"), a_case("b")], set_aside=set_aside), tmp_path)
    assert "MRN-4711" not in page.source
    assert "/secret/path" not in page.source
    assert "no. 1, 2 scans" in page.text


@pytest.mark.fault(86, "OK")
def test_names_are_inert_wherever_they_stand(tmp_path: Path) -> None:
    case = a_case(
        EVIL,
        problems=[EVIL],
        warnings=[EVIL],
        notes=[EVIL],
        intensities={EVIL: Intensities(0, 1, 2, 3, 4)},
    )
    overview = replace(compare([a_case("x")], DATA), notes=(EVIL,), duplicates=((EVIL, "x"),))
    page = written(
        a_page(
            [case],
            title=EVIL,
            overview=overview,
            set_aside=[SetAside(EVIL, "", EVIL, EVIL)],
            structures=(Structure(EVIL, 1, "#E69F00"),),
        ),
        tmp_path,
    )
    assert len(page.all_of("script")) == 1
    assert len(page.all_of("img")) == 1
    assert not any("onerror" in attributes for _, attributes in page.elements)
    # Shown as what it is.
    assert page.texts_in("h3") == [EVIL]
    assert page.text.count(EVIL) >= 10


@pytest.mark.fault(68, "OK")
@pytest.mark.parametrize(
    ("name", "shown"), [("a b ü 漢", "a b ü 漢"), ("x" * 255, "x" * 255), ("a\udcff", "a?")]
)
def test_any_name_of_a_file_is_shown(tmp_path: Path, name: str, shown: str) -> None:
    assert written(a_page([a_case(name)]), tmp_path).texts_in("h3") == [shown]


def test_nothing_is_fetched_and_one_script_may_run(tmp_path: Path) -> None:
    page = written(a_page([a_case("a", warnings=["odd"])]), tmp_path)
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert str(attributes.get(name) or "data:").startswith("data:")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", page.source)
    policy = next(
        str(meta["content"])
        for meta in page.all_of("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    script = page.source.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    # The script and the page speak of the same elements.
    ids = {str(attributes["id"]) for _, attributes in page.elements if "id" in attributes}
    assert set(re.findall(r'getElementById\("(\w+)"\)', script)) == ids


def test_light_and_dark(tmp_path: Path) -> None:
    assert "prefers-color-scheme: dark" in written(a_page([a_case("a")]), tmp_path).source


def test_spread_and_outliers_are_drawn(tmp_path: Path) -> None:
    cases = [a_case(f"c{number}", shape=(30, 40, 50 + number)) for number in range(6)]
    cases.append(a_case("odd", shape=(30, 40, 200)))
    page = written(a_page(cases), tmp_path)
    assert any("voxels I-S" in text for text in page.texts_in("figcaption"))
    assert any(bar.get("class") == "far" for bar in page.all_of("rect"))
    assert "The same in all scans: spacing R-L 1 mm" in page.text


@pytest.mark.parametrize("labelled", [True, False])
def test_what_could_not_be_read_has_a_card(tmp_path: Path, labelled: bool) -> None:
    case = CheckedCase("gone", "p", labelled=labelled, problems=["no such file"])
    page = written(a_page([case], thumbnails={}), tmp_path)
    assert "no picture" in page.text
    assert ("not read" if labelled else "none") in page.texts_in("dd")


def test_many_structures_are_cut(tmp_path: Path) -> None:
    case = a_case("a", structures=dict.fromkeys(range(1, 12), 1.0))
    assert "and 3 more" in written(a_page([case]), tmp_path).text


def test_a_large_set_says_what_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [a_case(f"c{number}") for number in range(6)]
    cases[5].problems.append("damaged")
    picture_letters = len(str(written(a_page(cases), tmp_path).all_of("img")[0]["src"]))
    monkeypatch.setattr(data_check_page, "MAX_CARDS", 4)
    monkeypatch.setattr(data_check_page, "MAX_PICTURE_BYTES", 3 * picture_letters)
    page = written(a_page(cases), tmp_path)
    assert page.texts_in("h3") == ["c5", "c0", "c1", "c2"]
    assert len(page.all_of("img")) == 3
    assert "Left out to keep this page small: 2 of 6 scans, those with the fewest" in page.text
    assert "1 card without picture" in page.text


def test_a_long_list_of_what_was_set_aside_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_check_page, "MAX_CARDS", 4)
    items = [SetAside(f"s{number}", "", "damaged", "restore it") for number in range(6)]
    page = written(a_page([a_case("a")], set_aside=items), tmp_path)
    assert [text for text in page.texts_in("td") if text.startswith("s")] == [
        "s0",
        "s1",
        "s2",
        "s3",
    ]
    assert "2 of 6 scans that were set aside" in page.text


def test_a_large_set_stays_below_fifteen_megabytes(tmp_path: Path) -> None:
    picture = replace(PICTURE, content=bytes(6144))
    cases = [
        a_case(f"case_{number:05d}_of_a_large_study", structures=dict.fromkeys(range(1, 6), 1.5))
        for number in range(2500)
    ]
    cases[3].warnings += ["no orientation in the header (sform and qform codes are 0)"] * 3
    thumbnails = {case.name: picture for case in cases}
    written(a_page(cases, thumbnails=thumbnails), tmp_path)
    assert (tmp_path / "page.html").stat().st_size < 15e6


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        write_data_check_page(a_page([a_case("a")]), tmp_path / "file" / "page.html")
