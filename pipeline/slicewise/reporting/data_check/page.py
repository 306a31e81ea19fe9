"""The page of a data check: one self-contained HTML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slicewise.dataset.case_qc import CheckedCase
from slicewise.dataset.catalogue import SetAside
from slicewise.dataset.cohort_measure import rounded
from slicewise.dataset.cohort_qc import ROBUST_Z, Overview, patient_numbers
from slicewise.imaging.structures import Structure
from slicewise.quantities import counted, noun_for, size
from slicewise.reporting.data_check.histograms import histogram
from slicewise.reporting.data_check.thumbnails import Thumbnail, outline_colours
from slicewise.reporting.html_page import data_address, write_page

MAX_CARDS = 2000
MAX_PICTURE_BYTES = 10_000_000
"""Size of all pictures as text; with the cards, a page stays below 15 MB."""
_MAX_STRUCTURES = 8
_RANKS = ("problem", "warning", "note", "good")


@dataclass(frozen=True)
class DataCheckPage:
    """The content of the page.

    Attributes:
        title: heading.
        cases: in any order.
        overview: of the cases.
        set_aside: scans that are no case.
        thumbnails: case name to picture, where there is one.
        structures: names and colours of label values, from a configuration.
    """

    title: str
    cases: Sequence[CheckedCase]
    overview: Overview
    set_aside: Sequence[SetAside]
    thumbnails: Mapping[str, Thumbnail]
    structures: Sequence[Structure]


@dataclass(frozen=True)
class _Finding:
    kind: str
    text: str


@dataclass(frozen=True)
class _Tile:
    count: int
    text: str
    kind: str = ""


@dataclass(frozen=True)
class _Part:
    name: str
    volume: str
    colour: str


@dataclass(frozen=True)
class _Card:
    """A case as the template shows it; ``picture`` is a data address, or empty."""

    name: str
    kind: str
    verdict: str
    facts: tuple[tuple[str, str], ...]
    structures: tuple[_Part, ...]
    findings: tuple[_Finding, ...]
    picture: str
    width: int
    height: int
    caption: str


def write_data_check_page(page: DataCheckPage, path: Path) -> None:
    """Write the page: problems first, then warnings, notes, and cases without findings.

    Raises:
        OutputError: the file cannot be written.
    """
    cards = list(_cards(page))
    measures = page.overview.measures
    content = {
        "title": page.title,
        "tiles": list(_tiles(page)),
        "findings": list(_findings_of_the_set(page.overview)),
        "set_aside": page.set_aside[:MAX_CARDS],
        "robust_z": ROBUST_Z,
        "histograms": [chart for chart in map(histogram, measures) if chart is not None],
        "uniform": [
            f"{measure.name} {measure.shown(measure.median)}"
            for measure in measures
            if len(measure.values) > 1 and measure.is_uniform
        ],
        "cards": cards,
        "left_out": _left_out(page, cards),
    }
    write_page(path, "data_check.html.j2", content, ["data_check.css"], ["data_check.js"])


def _tiles(page: DataCheckPage) -> Iterator[_Tile]:
    overview = page.overview
    yield _Tile(overview.cases, noun_for(overview.cases, "scan"))
    yield _Tile(overview.patients, noun_for(overview.patients, "patient"))
    yield _Tile(overview.labelled, "with labels")
    if overview.empty_labels:
        text = noun_for(overview.empty_labels, "empty label")
        yield _Tile(overview.empty_labels, text, "warning")
    yield _Tile(overview.unusable, "unusable", "problem" if overview.unusable else "")
    yield _Tile(len(page.set_aside), "set aside", "problem" if page.set_aside else "")
    warned = sum(bool(case.warnings) for case in page.cases)
    yield _Tile(warned, "with warnings", "warning" if warned else "")
    noted = sum(bool(case.notes) for case in page.cases)
    yield _Tile(noted, "with notes", "note" if noted else "")


def _findings_of_the_set(overview: Overview) -> Iterator[_Finding]:
    for finding in overview.problems:
        yield _Finding("problem", finding.text)
    for text in overview.notes:
        yield _Finding("note", text)


def _cards(page: DataCheckPage) -> Iterator[_Card]:
    patients = patient_numbers(page.cases)
    scans_of = Counter(patients.values())
    ranked = sorted(page.cases, key=lambda case: (_RANKS.index(_kind(case)), case.name))
    room = MAX_PICTURE_BYTES
    for case in ranked[:MAX_CARDS]:
        picture, thumbnail = "", page.thumbnails.get(case.name)
        if thumbnail is not None:
            picture = data_address(thumbnail.content, "image/webp")
            room -= len(picture)
        if room < 0:
            picture, room = "", 0
        number = patients[case.name]
        scans = f", {scans_of[number]} scans" if scans_of[number] > 1 else ""
        yield _card(case, page.structures, f"no. {number}{scans}", picture, thumbnail)


def _card(
    case: CheckedCase,
    structures: Sequence[Structure],
    patient: str,
    picture: str,
    thumbnail: Thumbnail | None,
) -> _Card:
    width, height, caption = 0, 0, ""
    if picture and thumbnail is not None:
        width, height = thumbnail.width, thumbnail.height
        caption = f"{thumbnail.plane} {thumbnail.slice_number} of {thumbnail.slice_count}"
    kind = _kind(case)
    return _Card(
        name=case.name,
        kind=kind,
        verdict={
            "problem": "cannot be used",
            "warning": "usable, with warnings",
            "note": "usable, with notes",
            "good": "no findings",
        }[kind],
        facts=tuple(_facts(case, patient)),
        structures=tuple(_parts(case, structures)),
        findings=tuple(
            _Finding(name, text)
            for name, texts in zip(_RANKS, (case.problems, case.warnings, case.notes), strict=False)
            for text in texts
        ),
        picture=picture,
        width=width,
        height=height,
        caption=caption,
    )


def _kind(case: CheckedCase) -> str:
    found = (case.problems, case.warnings, case.notes)
    return next((kind for kind, texts in zip(_RANKS, found, strict=False) if texts), "good")


def _facts(case: CheckedCase, patient: str) -> Iterator[tuple[str, str]]:
    if case.shape:
        yield "size", " x ".join(map(str, case.shape))
        spacing = " x ".join(f"{value:.3g}" for value in case.spacing_mm) + " mm"
        yield "spacing", spacing if case.spacing_is_known else "unknown; sizes are in pixels"
        yield "axes, plane", f"{case.orientation}, {case.plane}"
    for contrast, found in case.intensities.items():
        inner = f"{rounded(found.low)} to {rounded(found.high)}"
        yield contrast, f"{inner}, extremes {rounded(found.lowest)} and {rounded(found.highest)}"
    yield "patient", patient
    if not case.labelled:
        yield "label", "none"
    elif not case.structures:
        yield "label", "empty" if case.label_digest else "not read"


def _parts(case: CheckedCase, structures: Sequence[Structure]) -> Iterator[_Part]:
    names = {structure.value: structure.name for structure in structures}
    colours = outline_colours(case.structures, structures)
    for value, found in list(case.structures.items())[:_MAX_STRUCTURES]:
        yield _Part(
            names.get(value, f"label {value}"),
            size(found, in_pixels=not case.spacing_is_known),
            colours[value],
        )
    if len(case.structures) > _MAX_STRUCTURES:
        yield _Part(f"and {len(case.structures) - _MAX_STRUCTURES} more", "", "transparent")


def _left_out(page: DataCheckPage, cards: Iterable[_Card]) -> str:
    """What the page of a large data set leaves out."""
    cards = list(cards)
    texts = []
    if len(page.cases) > len(cards):
        texts.append(
            f"{len(page.cases) - len(cards)} of {len(page.cases)} scans, those with the fewest "
            "findings"
        )
    if len(page.set_aside) > MAX_CARDS:
        texts.append(
            f"{len(page.set_aside) - MAX_CARDS} of {len(page.set_aside)} scans that were set aside"
        )
    hidden = sum(not card.picture and card.name in page.thumbnails for card in cards)
    if hidden:
        texts.append(f"{counted(hidden, 'card')} without picture")
    if not texts:
        return ""
    return f"Left out to keep this page small: {'; '.join(texts)}. The JSON file lists all scans."
