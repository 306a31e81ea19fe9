"""Steps that commands share, each behind its bar: prepare, predict and score, find a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.cli.console import tracked
from pipeline.cli.tables import report_set_aside
from pipeline.config import Config
from pipeline.dataset.cache import CachedCase, Prepared, collect, prepare
from pipeline.dataset.catalogue import Case, Catalogue, SetAside
from pipeline.dataset.layouts import read_catalogue
from pipeline.dataset.workers import default_workers
from pipeline.errors import ModelError, SlicewiseError
from pipeline.evaluation.scores import Score, score_case
from pipeline.imaging.nifti import write_mask
from pipeline.imaging.scan import read_scan
from pipeline.reporting.pictures import Example
from pipeline.segmentation.inference import Predictor

_EXAMPLES = 4


@dataclass(frozen=True)
class Evaluated:
    """Masks of labelled cases and how good they are.

    Attributes:
        scores: a row a case and structure.
        examples: some cases to look at, from the worst to the best.
        set_aside: cases that could not be predicted or scored.
    """

    scores: list[Score]
    examples: list[Example]
    set_aside: list[SetAside]


def prepared_slices(config: Config, work: Path, workers: int | None) -> tuple[Catalogue, Prepared]:
    """Catalogue and slice cache of a configuration, made where they are missing.

    Raises:
        DataError: the data set is unusable as a whole.
    """
    catalogue = read_catalogue(config.data)
    results: dict[str, CachedCase | SlicewiseError] = {}
    results.update(
        tracked(
            prepare(catalogue, config, work, workers or default_workers()),
            "preprocessing",
            len(catalogue.labelled),
        )
    )
    prepared = collect(catalogue, results, config, work)
    report_set_aside(prepared.set_aside)
    return catalogue, prepared


def predict_and_score(predictor: Predictor, cases: Sequence[Case], masks: Path) -> Evaluated:
    """Predict labelled cases from their source files, write the masks, score on the native grid."""
    labels = predictor.config.data.labels
    scores: list[Score] = []
    set_aside: list[SetAside] = []
    examples: dict[str, Example] = {}
    for case in tracked(cases, "predicting", len(cases)):
        try:
            contrasts = [read_scan(source) for source in case.images]
            assert case.label is not None
            reference = read_scan(case.label)
            mask = predictor.predict(*contrasts)
            write_mask(mask, contrasts[0], masks / f"{case.name}.nii.gz")
            scores += score_case(case.name, mask, reference, labels)
        except SlicewiseError as error:
            set_aside.append(SetAside.from_error(case.name, error))
            continue
        examples[case.name] = Example(case.name, contrasts[0], mask, reference)
    return Evaluated(scores, _spread(examples, scores), set_aside)


def model_paths(model: str, work: Path) -> list[Path]:
    """The checkpoints behind a model argument: a folder, a file, a run id or ``models:/`` name.

    Raises:
        ModelError: it leads to no checkpoint.
    """
    path = Path(model)
    if path.is_file():
        return [path]
    if path.is_dir():
        return _checkpoints_in(path)
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


def kept_checkpoint(folder: Path, config: Config) -> Path:
    """The checkpoint that a training leaves as its model."""
    return folder / f"{config.training.keep}.pt"


def _checkpoints_in(folder: Path) -> list[Path]:
    from pipeline.config import load_config

    folds = sorted(folder.glob("fold-*/config.yaml"))
    configs = [folder / "config.yaml"] if (folder / "config.yaml").is_file() else folds
    if not configs:
        raise ModelError(
            folder,
            expected="config.yaml and a checkpoint, as `slicewise train --out` leaves them",
            found=", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "nothing",
            remedy="give the folder of a training",
        )
    return [kept_checkpoint(path.parent, load_config(path)) for path in configs]


def _spread(examples: dict[str, Example], scores: Sequence[Score]) -> list[Example]:
    """A few examples from the worst to the best."""
    mean = {
        name: sum(s.dice for s in scores if s.case == name and s.dice == s.dice)
        for name in examples
    }
    ranked = sorted(examples, key=lambda name: mean[name])
    count = min(_EXAMPLES, len(ranked))
    places = [round(i * (len(ranked) - 1) / max(count - 1, 1)) for i in range(count)]
    return [examples[ranked[place]] for place in places]
