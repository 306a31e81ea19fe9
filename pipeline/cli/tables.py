"""Results and scans set aside, as the terminal shows them; imports nothing slow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.console import figure, note, show_table

if TYPE_CHECKING:
    from pipeline.dataset.catalogue import SetAside
    from pipeline.evaluation.scores import Summary

SET_ASIDE = 8
"""Exit code of work that is done but for some scans."""


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

    from pipeline.imaging.files import private_folder, write_text

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


def show_summary(title: str, summaries: Sequence[Summary]) -> None:
    """Print the table of results, Dice and IoU as means, with its policy."""
    from pipeline.evaluation.scores import mean_dice

    rows: list[tuple[str, ...]] = [
        (
            item.structure,
            figure(item.mean_dice),
            figure(item.median_dice),
            figure(item.mean_iou),
            str(item.cases),
            str(item.missed),
            str(item.invented),
            str(item.undefined),
        )
        for item in summaries
    ]
    rows.append(("mean", figure(mean_dice(summaries)), *[""] * 6))
    columns = ("structure", "Dice", "median", "IoU", "cases", "missed", "invented", "empty")
    show_table(title, columns, rows)
    note("Means over cases. Missed or invented structures count as 0; both empty is left out.")
