"""What the terminal shows of work under way."""

from __future__ import annotations

import sys

import pytest
from rich.progress import Progress as RichProgress

from slicewise.cli import console
from slicewise.cli.flags import with_flags
from slicewise.errors import ScanError
from slicewise.progress import PartOfTask


@pytest.fixture
def bar(monkeypatch: pytest.MonkeyPatch) -> RichProgress:
    """The bar of a terminal."""
    bar = console.progress_bar()
    monkeypatch.setattr(console, "progress_bar", lambda: bar)
    monkeypatch.setattr(console, "shows_bars", lambda: True)
    return bar


def test_a_bar_moves_within_an_item(bar: RichProgress) -> None:
    seen = []
    with console.ConsoleProgress().task("predicting", 2) as task:
        for number in range(2):
            PartOfTask(task, number).update(0.25)
            seen.append(bar.tasks[0].completed)
            task.update(number + 1)
    assert seen == [0.25, 1.25]
    assert bar.tasks[0].completed == bar.tasks[0].total == 2


def test_a_task_within_a_task_joins_its_display(bar: RichProgress) -> None:
    progress = console.ConsoleProgress()
    with progress.task("folds", 5), progress.task("training", 100, completed=20) as inner:
        inner.update(30, detail="loss 0.5")
        assert [(task.description, task.completed) for task in bar.tasks] == [
            ("folds", 0),
            ("training", 30),
        ]
        assert bar.tasks[1].fields["detail"] == "loss 0.5"
    assert [task.description for task in bar.tasks] == ["folds"]


def test_messages_name_options_to_python_and_flags_to_the_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(console, "note", shown.append)
    for progress in (console.ConsoleProgress(), console.PROGRESS):
        progress.message("predict it without `out_of_fold`")
    assert shown == ["predict it without `out_of_fold`", "predict it without --out-of-fold"]


def test_names_break_no_lines_and_errors_keep_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    error = ScanError("a\nb", expected="x", found="y", remedy="z")
    hostile = "\x1b[2Jcase\n1"
    console.note(f"failed: {hostile}: {error}")
    console.show(f"{hostile} [bold]: done")
    console.show_table("scans", ("name",), [(hostile,)])
    console.show_texts("scans", ("name",), [(hostile,)])
    with console.ConsoleProgress().task(hostile, 1) as task:
        task.update(1, detail=hostile)
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert shown.err.splitlines()[:4] == [
        r"failed: \x1b[2Jcase\n1: a\nb",
        "  expected: x",
        "  found:    y",
        "  remedy:   z",
    ]
    assert len(shown.err.splitlines()) == 5
    assert shown.out.splitlines()[0] == r"\x1b[2Jcase\n1 [bold]: done"
    assert shown.out.count(r"\x1b[2Jcase\n1") == 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("replace it with `overwrite`", "replace it with --overwrite"),
        ("`out_of_fold` with `endpoint`", "--out-of-fold with --endpoint"),
        ("`settings` network.features=8", "--set network.features=8"),
        ("see `slicewise predict --help`", "see `slicewise predict --help`"),
        ("`inner_fold` 7", "--inner 7"),
        ("the section `inference`", "the section `inference`"),
    ],
)
def test_options_become_flags(text: str, shown: str) -> None:
    assert with_flags(text) == shown


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [(["check"], "SLICEWISE_CLUSTER"), (["check", "--workers=x"], "--cluster")],
)
def test_a_variable_is_named_where_it_gave_the_option(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], shown: str
) -> None:
    monkeypatch.setenv("SLICEWISE_CLUSTER", "x")
    monkeypatch.setattr(sys, "argv", ["slicewise", *arguments])
    text = "`cluster` x\n  remedy: fewer `workers`"
    assert with_flags(text) == f"{shown} x\n  remedy: fewer --workers"


@pytest.mark.fault(138, "OK")
def test_without_a_terminal_there_are_lines_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(console.notes, "print", lambda text, **_: shown.append(text))
    progress = console.ConsoleProgress()
    assert not console.shows_bars()
    with progress.task("training", 4, completed=1) as task:
        task.update(3, detail="loss 0.5")
        progress.message("validation Dice 0.9")
        task.update(4)
    progress.message("done")
    assert shown == ["validation Dice 0.9", "training: 4 of 4 (100 %), 0 s, loss 0.5", "done"]
