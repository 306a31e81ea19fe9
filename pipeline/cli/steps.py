"""Steps that commands share, each behind its bar: prepare, predict and score, find a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.cli.console import tracked
from pipeline.cli.model_folder import checkpoints_in
from pipeline.cli.tables import report_set_aside, report_warnings
from pipeline.config import Config
from pipeline.dataset.cache import CachedCase, Prepared, collect, prepare
from pipeline.dataset.catalogue import Case, Catalogue, SetAside
from pipeline.dataset.layouts import read_catalogue
from pipeline.dataset.workers import default_workers
from pipeline.errors import ModelError, ScanError
from pipeline.evaluation.scores import Score, score_case
from pipeline.imaging.nifti.writing import write_mask
from pipeline.imaging.scan import read_scan
from pipeline.reporting.pictures import Example
from pipeline.segmentation.inference import Predictor

_EXAMPLES = 4


@dataclass(frozen=True)
class Evaluated:
    """Masks of labelled cases and how good they are.

    Attributes:
        scores: a row a case and structure.
        set_aside: cases that could not be predicted or scored.
    """

    scores: list[Score]
    set_aside: list[SetAside]


def prepared_slices(config: Config, work: Path, workers: int | None) -> tuple[Catalogue, Prepared]:
    """Catalogue and slice cache of a configuration, made where they are missing.

    Raises:
        DataError: the data set is unusable as a whole.
    """
    catalogue = read_catalogue(config.data)
    results: dict[str, CachedCase | ScanError] = {}
    results.update(
        tracked(
            prepare(catalogue, config, work, workers or default_workers()),
            "preprocessing",
            len(catalogue.labelled),
        )
    )
    prepared = collect(catalogue, results, config, work)
    report_set_aside(prepared.set_aside)
    report_warnings({case.name: case.warnings for case in prepared.cases})
    return catalogue, prepared


def predict_and_score(predictor: Predictor, cases: Sequence[Case], masks: Path) -> Evaluated:
    """Predict labelled cases from their source files, write the masks, score on the native grid."""
    labels = predictor.config.data.labels
    scores: list[Score] = []
    set_aside: list[SetAside] = []
    for case in tracked(cases, "predicting", len(cases)):
        try:
            contrasts = [read_scan(source) for source in case.images]
            assert case.label is not None
            mask = predictor.predict(*contrasts)
            write_mask(mask, contrasts[0], mask_path(masks, case))
            scores += score_case(case.name, mask, read_scan(case.label), labels)
        except ScanError as error:
            set_aside.append(SetAside.from_error(case.name, error))
    return Evaluated(scores, set_aside)


def mask_path(folder: Path, case: Case) -> Path:
    """Where the mask of a case lies."""
    return folder / f"{case.name}.nii.gz"


def examples(cases: Sequence[Case], scores: Sequence[Score], masks: Path) -> list[Example]:
    """A few scored cases, from the worst to the best, read again to be looked at."""
    by_name = {case.name: case for case in cases}
    chosen = []
    for name in _spread(scores):
        case = by_name[name]
        assert case.label is not None
        scan, mask = read_scan(case.images[0]), read_scan(mask_path(masks, case))
        chosen.append(Example(name, scan, mask, read_scan(case.label)))
    return chosen


def model_paths(model: str, work: Path) -> list[Path]:
    """The checkpoints behind a model argument: a folder, a file, a run id or ``models:/`` name.

    Raises:
        ModelError: it leads to no checkpoint.
    """
    path = Path(model)
    if path.is_file():
        return [path]
    if path.is_dir():
        return checkpoints_in(path)
    from pipeline.tracking.resolving import resolve_model
    from pipeline.tracking.store import open_store

    found = resolve_model(open_store(work), model)
    if found is None:
        raise ModelError(
            model,
            expected="a folder or checkpoint of `slicewise train`, a run id, or models:/name@alias",
            found="none of these",
            remedy="correct the path, or look at the models with `slicewise mlflow`",
        )
    return [found]


def _spread(scores: Sequence[Score]) -> list[str]:
    """Names of a few cases, evenly from the worst mean Dice to the best."""
    dice: dict[str, list[float]] = {}
    for score in scores:
        known = dice.setdefault(score.case, [])
        if not math.isnan(score.dice):
            known.append(score.dice)
    ranked = sorted(dice, key=lambda name: sum(dice[name]) / max(len(dice[name]), 1))
    count = min(_EXAMPLES, len(ranked))
    places = [round(i * (len(ranked) - 1) / max(count - 1, 1)) for i in range(count)]
    return [ranked[place] for place in places]
