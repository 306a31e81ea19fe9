"""A challenger as a user names it in; the comparison on the console, and aliases moved, out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from slicewise.cli.console import figure, note, output, show_table
from slicewise.config import FOLD_KINDS
from slicewise.errors import DataError, ModelError, UsageError
from slicewise.evaluation.noninferiority import Judgement, Row, judge
from slicewise.imaging.files import write_text
from slicewise.tracking.listing import model_rows
from slicewise.tracking.promotion import (
    ModelVersion,
    champion_of,
    find_model_version,
    finish_promotion,
    margin_of,
    promote,
    roll_back,
    scores_of,
)
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.store import Store, open_store

_LONGEST_REASON = 1000
_SHORT_ID = 8


def promote_version(text: str, model_name: str | None, force: str | None, work: Path) -> bool:
    """Compare a version with the champion and move the alias; returns whether it is champion now.

    Args:
        text: folder of a run, a run id, or a ``models:/`` address.
        model_name: which of the models that a run has registered.
        force: reason to promote whatever the comparison says.
        work: whose store is asked.

    Raises:
        UsageError: an empty reason.
        ModelError, DataError, OutputError: no such version, no scores, or the store refuses.
    """
    reason = None if force is None else _reason("--force", force)
    store = open_store(work)
    challenger = find_model_version(store, _address(text), model_name)
    champion = champion_of(store, challenger.name)
    if champion is None:
        promote(store, challenger, None, {})
        output.print(f"{challenger.uri} is the champion: there was none to compare with")
        return True
    if champion == challenger:
        finish_promotion(store, champion)
        output.print(f"{champion.uri} is the champion already")
        return True
    evidence = _evidence(store, champion, challenger, reason)
    if evidence is None:
        return False
    promote(store, challenger, champion, evidence)
    output.print(
        f"{challenger.uri} is the champion; {champion.uri} is kept as "
        f"models:/{champion.name}@previous"
    )
    return True


def roll_back_version(model_name: str, reason: str, work: Path) -> None:
    """Give the alias back to the champion before, and say so.

    Raises:
        UsageError: an empty reason.
        ModelError, OutputError: there is none before, or the store refuses.
    """
    former, now = roll_back(open_store(work), model_name, _reason("--reason", reason))
    output.print(f"{now.uri} is the champion again; {former.uri} keeps its version")


def show_models(model_name: str | None, json_file: Path | None, work: Path) -> None:
    """Print a row a version, the newest of each model first.

    Raises:
        ModelError, OutputError: no such model, the store refuses, or the file cannot be written.
    """
    rows = model_rows(open_store(work), model_name)
    if json_file is not None:
        write_text(json_file, json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    if not rows:
        note("no model is registered yet: `slicewise train` registers one")
        return
    columns = ("model", "version", "aliases", "Dice", "folds", "registered", "run")
    show_table(
        "Registered models",
        columns,
        (
            (row.name, str(row.version), ", ".join(row.aliases), row.dice, row.folds,
             row.registered, row.run_id[:_SHORT_ID])
            for row in rows
        ),
    )  # fmt: skip


def _evidence(
    store: Store, champion: ModelVersion, challenger: ModelVersion, reason: str | None
) -> dict[str, str] | None:
    """Tags that tell why a version is promoted; None where it must not be."""
    forced = {} if reason is None else {"promotion_forced": reason}
    try:
        judgement = _judgement(store, champion, challenger)
    except (ModelError, DataError) as error:
        if reason is None:
            raise
        note(f"not compared: {error.reason} ({error.where})")
        return forced
    _show(judgement, champion, challenger)
    if judgement.is_accepted:
        return _figures(judgement)
    for text in judgement.objections:
        note(f"against it: {text}")
    if reason is None:
        output.print(f"{challenger.uri} is not promoted; {champion.uri} stays the champion")
        note("to promote it all the same: --force REASON, which is recorded")
        return None
    return _figures(judgement) | forced


def _judgement(store: Store, champion: ModelVersion, challenger: ModelVersion) -> Judgement:
    margin = margin_of(store, challenger)
    found = judge(scores_of(store, champion), scores_of(store, challenger), margin)
    shared = FOLD_KINDS["published"]
    if challenger.folds == shared != champion.folds:
        text = (
            "its scores are optimistically biased: patients were on both sides of its folds, and "
            "not of the champion's"
        )
        return Judgement(found.rows, margin, (*found.objections, text))
    return found


def _show(judgement: Judgement, champion: ModelVersion, challenger: ModelVersion) -> None:
    if not judgement.rows:
        return
    show_table(
        f"Dice: {challenger.uri} minus {champion.uri}",
        ("structure", "cases", "patients", "champion", "challenger", "difference [95 %]",
         "Wilcoxon p", "permutation p"),
        map(_cells, judgement.rows),
    )  # fmt: skip
    note(
        f"Not worse: the lower end of each interval lies above -{judgement.margin:g} "
        "(tracking.promotion_margin). Intervals by patient-level bootstrap, tests paired by "
        "patient; permutation p of structures is corrected by Holm."
    )


def _cells(row: Row) -> tuple[str, ...]:
    found = row.difference
    return (
        row.structure,
        str(found.cases),
        str(found.patients),
        figure(row.champion),
        figure(row.challenger),
        f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]",
        figure(found.wilcoxon_p),
        figure(found.p_corrected),
    )


def _figures(judgement: Judgement) -> dict[str, str]:
    if not judgement.rows:
        return {}
    mean = judgement.rows[0].difference
    return {
        "promotion_difference": f"{mean.mean:+.4f}",
        "promotion_interval": f"[{mean.low:+.4f}, {mean.high:+.4f}]",
        "promotion_cases": str(mean.cases),
        "promotion_patients": str(mean.patients),
        "promotion_margin": f"{judgement.margin:g}",
    }


def _address(text: str) -> str:
    """The id of the run behind a folder; other texts as they are."""
    folder = Path(text)
    return RunFolder(folder).run_id() if folder.is_dir() else text


def _reason(option: str, text: str) -> str:
    reason = " ".join(text.split())
    if not reason:
        raise UsageError(
            option,
            expected="a reason that others understand later",
            found="an empty one",
            remedy="say why, in quotes",
        )
    return reason[:_LONGEST_REASON]
