"""Promotes a version of a registered model if it is not worse than the champion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from slicewise.config import FOLD_KINDS
from slicewise.errors import DataError, ModelError, UsageError
from slicewise.evaluation.noninferiority import NonInferiority, assess
from slicewise.imaging.target import given, outputs
from slicewise.progress import SILENT, Progress
from slicewise.tracking import promotion
from slicewise.tracking.listing import ModelRow, model_rows, write_rows
from slicewise.tracking.promotion import ModelVersion
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.store import Store, open_store

_LONGEST_REASON = 1000


@dataclass(frozen=True)
class PromoteOptions:
    """Which version to promote.

    Attributes:
        challenger: folder of a run, a run id, or a ``models:/`` address.
        model_name: which model, if the run registered several.
        force: reason to promote whatever the comparison says; it is recorded.
        work: whose store is asked.
    """

    challenger: str
    model_name: str | None = None
    force: str | None = None
    work: Path = Path("work")


@dataclass(frozen=True)
class Promotion:
    """The outcome of a promotion.

    Attributes:
        challenger: the version that was to be promoted.
        champion: the champion before; None if there was none.
        comparison: of both; None if they were not compared.
        is_promoted: whether the challenger is the champion now.
    """

    challenger: ModelVersion
    champion: ModelVersion | None
    comparison: NonInferiority | None
    is_promoted: bool


@dataclass(frozen=True)
class RollBackOptions:
    """Which model to roll back.

    Attributes:
        model_name: registered model.
        reason: recorded with the version that loses the alias.
        work: whose store is asked.
    """

    model_name: str
    reason: str
    work: Path = Path("work")


@dataclass(frozen=True)
class RollBack:
    """The outcome of a roll-back.

    Attributes:
        former: the version that was the champion.
        champion: the present champion.
    """

    former: ModelVersion
    champion: ModelVersion


@dataclass(frozen=True)
class ListModelsOptions:
    """Which registered models to list.

    Attributes:
        model_name: only versions of this model; None lists all.
        json: file of the rows to write; None writes none.
        work: whose store is asked.
        overwrite: replace a file of others.
    """

    model_name: str | None = None
    json: Path | None = None
    work: Path = Path("work")
    overwrite: bool = False


def promote(options: PromoteOptions, progress: Progress = SILENT) -> Promotion:
    """Compare a version with the champion, and make it the champion if it is not worse.

    Raises:
        UsageError: an empty reason.
        ModelError: no such version, or no scores to compare.
        DataError: damaged scores.
        OutputError: the store refuses.
    """
    reason = None if options.force is None else _reason("`force`", options.force)
    store = open_store(options.work)
    folder = Path(options.challenger)
    address = RunFolder(folder).run_id() if folder.is_dir() else options.challenger
    challenger = promotion.find_model_version(store, address, options.model_name)
    champion = promotion.champion_of(store, challenger.name)
    if champion is None:
        promotion.promote(store, challenger, None, {})
        return Promotion(challenger, None, None, is_promoted=True)
    if champion == challenger:
        promotion.finish_promotion(store, champion)
        return Promotion(challenger, champion, None, is_promoted=True)
    comparison = None
    try:
        comparison = _compared(store, champion, challenger)
    except (ModelError, DataError) as error:
        if reason is None:
            raise
        progress.message(f"not compared: {error.reason} ({error.where})")
    is_accepted = comparison is not None and comparison.is_accepted
    if not is_accepted and reason is None:
        return Promotion(challenger, champion, comparison, is_promoted=False)
    tags = {} if comparison is None else _tags(comparison)
    if not is_accepted and reason is not None:
        tags["promotion_forced"] = reason
    promotion.promote(store, challenger, champion, tags)
    return Promotion(challenger, champion, comparison, is_promoted=True)


def roll_back(options: RollBackOptions) -> RollBack:
    """Make the previous champion the champion again; the present one remains a version.

    Raises:
        UsageError: an empty reason.
        ModelError: no such model, or no previous champion.
        OutputError: the store refuses.
    """
    reason = _reason("`reason`", options.reason)
    former, now = promotion.roll_back(open_store(options.work), options.model_name, reason)
    return RollBack(former, now)


def list_models(options: ListModelsOptions) -> list[ModelRow]:
    """The versions of registered models, the newest of each model first.

    Raises:
        ModelError: no such model.
        OutputError: the store refuses, or the file cannot be written.
    """
    with outputs("models", {"json": given(options.json)}, overwrite=options.overwrite):
        rows = model_rows(open_store(options.work), options.model_name)
        if options.json is not None:
            write_rows(rows, options.json)
    return rows


def _compared(store: Store, champion: ModelVersion, challenger: ModelVersion) -> NonInferiority:
    margin = promotion.margin_of(store, challenger)
    ours, theirs = (promotion.scores_of(store, version) for version in (champion, challenger))
    found = assess(ours, theirs, margin)
    shared = FOLD_KINDS["published"]
    if challenger.folds == shared != champion.folds:
        text = (
            "its scores are optimistically biased: patients were on both sides of its folds, and "
            "not of the champion's"
        )
        return replace(found, objections=(*found.objections, text))
    return found


def _tags(comparison: NonInferiority) -> dict[str, str]:
    """The result of a comparison as tags of the promoted version."""
    if not comparison.rows:
        return {}
    mean = comparison.rows[0].difference
    return {
        "promotion_difference": f"{mean.mean:+.4f}",
        "promotion_interval": f"[{mean.low:+.4f}, {mean.high:+.4f}]",
        "promotion_cases": str(mean.cases),
        "promotion_patients": str(mean.patients),
        "promotion_margin": f"{comparison.margin:g}",
    }


def _reason(option: str, text: str) -> str:
    reason = " ".join(text.split())
    if not reason:
        raise UsageError(
            option,
            expected="a reason that others understand later",
            found="an empty text",
            remedy="state the reason, in quotes",
        )
    return reason[:_LONGEST_REASON]
