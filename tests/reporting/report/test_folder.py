"""A report is there as a whole, or the old one is: never a half, and never at another's cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slicewise.errors import OutputError
from slicewise.reporting.report import folder as report_folder
from slicewise.reporting.report.contents import Report
from slicewise.reporting.report.folder import FIGURES, PAGE, SLIDES, write_report

MakeReport = Callable[..., Report]


@pytest.fixture
def small(a_report: MakeReport) -> Report:
    return a_report(folds=(), scores=(), headline=None, summaries=(), failures=(), cases=())


def content(folder: Path) -> set[str]:
    """Files of a person's interest; hidden marks say who wrote them."""
    return {str(path.relative_to(folder)) for path in folder.rglob("[!.]*") if path.is_file()}


def test_page_slides_and_pictures(small: Report, tmp_path: Path) -> None:
    write_report(small, tmp_path / "deep" / "out")
    assert content(tmp_path) == {
        f"deep/out/{PAGE}",
        f"deep/out/{SLIDES}",
        f"deep/out/{FIGURES}/01-title.png",
    }


@pytest.mark.fault(97, "E")
def test_an_older_report_is_replaced_as_a_whole(small: Report, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()  # empty: nothing is lost
    write_report(replace(small, name="old"), out)
    assert "<h1>old</h1>" in (out / PAGE).read_text()
    write_report(small, out)
    (out / FIGURES / "99-mine.png").write_text("mine")
    with pytest.raises(OutputError, match=r"99-mine\.png"):
        write_report(small, out)
    write_report(small, out, overwrite=True)
    assert content(tmp_path) == {f"out/{PAGE}", f"out/{SLIDES}", f"out/{FIGURES}/01-title.png"}
    assert "<h1>phantom</h1>" in (out / PAGE).read_text()


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OutputError])
def test_an_interrupted_report_leaves_the_old_one(
    small: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    out = tmp_path / "out"
    write_report(small, out)
    before = (out / PAGE).read_bytes()

    def interrupted(*_: Any) -> None:
        # The new page is there by now, and another.
        pages = [path.read_bytes() for path in tmp_path.glob(f".*.part/new/{PAGE}")]
        assert pages
        raise error(**_texts(error))

    monkeypatch.setattr(report_folder, "write_slides", interrupted)
    with pytest.raises(error):
        write_report(small, out)
    assert (out / PAGE).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("moved", ["new", "out"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_at_the_swap_leaves_the_old_one(
    small: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException], moved: str,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    write_report(replace(small, name="old"), out)
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path.name == "new" and moved == "new":
            raise error
        result = rename(path, target)
        if path == out:
            raise error
        return result

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(error):
        write_report(small, out)
    monkeypatch.undo()
    assert "<h1>old</h1>" in (out / PAGE).read_text()
    assert (out / SLIDES).is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interrupted_first_report_leaves_nothing(
    small: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(report_folder, "write_slides", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(small, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_file", [True, False])
def test_what_is_no_report_is_not_replaced(small: Report, tmp_path: Path, is_file: bool) -> None:
    out = tmp_path / "thesis"
    if is_file:
        out.write_text("precious")
    else:
        out.mkdir()
        (out / "chapter.docx").write_text("precious")
    before = content(tmp_path)
    with pytest.raises(OutputError, match=r"thesis|chapter\.docx"):
        write_report(small, out)
    assert content(tmp_path) == before


@pytest.mark.parametrize("file", [f"{FIGURES}/fig1.txt", f"{FIGURES}/01-title.png", PAGE, SLIDES])
def test_names_of_a_report_alone_make_no_report(small: Report, tmp_path: Path, file: str) -> None:
    mine = tmp_path / "mine" / file
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    with pytest.raises(OutputError, match=f"no {PAGE} of slicewise"):
        write_report(small, tmp_path / "mine")
    assert mine.read_text() == "precious"


def test_a_place_that_cannot_be_written(small: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        write_report(small, tmp_path / "file" / "out")


def _texts(error: type[BaseException]) -> dict[str, str]:
    if error is not OutputError:
        return {}
    return {"expected": "room", "found": "none", "remedy": "free some", "where": "disk"}
