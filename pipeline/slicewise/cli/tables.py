"""Results and scans set aside, as the terminal shows them; imports nothing slow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.cli.console import figure, note, show_table

if TYPE_CHECKING:
    from slicewise.dataset.catalogue import SetAside
    from slicewise.evaluation.statistics import Distribution, StructureSummary

SET_ASIDE = 8
"""Exit code of work that is done but for some scans."""
_BESIDE = {"HD95 mm": "hd95_mm", "surface Dice": "surface_dice"}


def report_set_aside(items: Sequence[SetAside], quarantine: Path | None = None) -> None:
    """Name what the rest goes on without.

    Args:
        items: scans that are left out.
        quarantine: the private list that tells where they lie, where there is one.
    """
    for item in items:
        note(f"set aside: {item.name}: {item.reason} ({item.remedy})")
    if items and quarantine is not None:
        note(f"where they lie: {quarantine} (it may name patients, only you can read it)")


def quarantined(items: Sequence[SetAside], work: Path, command: str) -> Path:
    """Write the private list of what a command set aside; returns its path."""
    import json
    from dataclasses import asdict

    from slicewise.imaging.files import private_folder, write_text

    path = private_folder(work / command) / "quarantine.jsonl"
    write_text(path, "".join(json.dumps(asdict(item)) + "\n" for item in items), private=True)
    return path


def report_warnings(noticed: Mapping[str, Sequence[str]]) -> None:
    """Say what was noticed when scans were read, each text once with the scans it is about."""
    scans: dict[str, list[str]] = {}
    for name, texts in noticed.items():
        for text in texts:
            scans.setdefault(text, []).append(name)
    for text, names in scans.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        note(f"noticed: {text}: {names[0]}{more}")


def counted(number: int, noun: str) -> str:
    """A number of things, such as 1 case or 2 cases."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def show_summary(title: str, summaries: Sequence[StructureSummary], overall: Distribution) -> None:
    """Print the table of results with its policy.

    Args:
        title: above the table.
        summaries: a row each.
        overall: mean Dice over the structures.
    """
    rows = [_summary_row(item) for item in summaries]
    columns = ("structure", "Dice", *_BESIDE, "cases", "false negative", "false positive", "empty")
    show_table(
        title, columns, [*rows, ("mean", _with_interval(overall), *[""] * (len(columns) - 2))]
    )
    note(
        "Means over cases; in brackets their 95 % interval (patient-level "
        "bootstrap). False negatives and false positives count as 0 and have no distance; both "
        "empty is left out."
    )


def report_never_found(summaries: Sequence[StructureSummary]) -> None:
    """Say what a network finds in no case that has it, and what may help: a mean hides it."""
    for item in summaries:
        having = item.cases - item.false_positive - item.undefined
        if 0 < having == item.false_negative:
            note(
                f"never found: {item.structure}, which {counted(having, 'held-out case')} had; "
                "more time (training.budget_minutes), more slices with it "
                "(training.foreground_fraction) or more patients may help"
            )


def _with_interval(item: Distribution) -> str:
    """A mean, and its interval where there is one."""
    interval = "" if item.low != item.low else f" [{figure(item.low)}, {figure(item.high)}]"
    return figure(item.mean) + interval


def _summary_row(item: StructureSummary) -> tuple[str, ...]:
    from slicewise.evaluation.statistics import METRICS

    dice = _with_interval(item.metrics["dice"])
    others = (figure(item.metrics[key].mean, METRICS[key].digits) for key in _BESIDE.values())
    counts = (item.cases, item.false_negative, item.false_positive, item.undefined)
    return (item.structure, dice, *others, *map(str, counts))
