"""Steps that commands share, each behind its bar: prepare, predict and score, find a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from slicewise.cli.console import tracked
from slicewise.cli.model_folder import checkpoints_in
from slicewise.cli.scanning import scanning
from slicewise.cli.tables import report_set_aside, report_warnings
from slicewise.config import Config
from slicewise.dataset.cache import CachedCase, Prepared, collect, prepare
from slicewise.dataset.catalogue import Case, Catalogue, SetAside
from slicewise.dataset.contrasts import read_contrasts
from slicewise.dataset.layouts import read_catalogue
from slicewise.dataset.worker_pool import default_workers
from slicewise.errors import ModelError, ScanError
from slicewise.evaluation.inference_tuning.evidence import CaseEvidence
from slicewise.evaluation.inference_tuning.evidence_collector import EvidenceCollector, HeldOutCase
from slicewise.evaluation.inference_tuning.inference_file import INFERENCE
from slicewise.evaluation.scores import Score, score_case
from slicewise.imaging.nifti.writing import write_mask
from slicewise.imaging.pictures import is_picture, mask_suffix, write_picture_mask
from slicewise.imaging.pseudonyms import Pseudonyms
from slicewise.imaging.scan import read_label, read_scan
from slicewise.imaging.structures import structures_of
from slicewise.imaging.volume import Volume
from slicewise.metrics.calibration import Reliability
from slicewise.reporting.figures.examples import Example
from slicewise.segmentation.inference import Prediction
from slicewise.tracking.packing import ModelFiles

_EXAMPLES = 4


class Segmenter(Protocol):
    """What makes masks of scans: networks, or the classical baseline."""

    @property
    def config(self) -> Config:
        """Contrasts, structures, and how faults of scans are met."""

    def predict_with_probabilities(self, *contrasts: Volume) -> Prediction:
        """Mask on the scan's own grid; no probabilities where there are none."""


@dataclass(frozen=True)
class Evaluated:
    """Masks of labelled cases and how good they are.

    Attributes:
        scores: a row a case and structure.
        reliability: structure to its probabilities against the truth, over all cases.
        set_aside: cases that could not be predicted or scored.
        evidence: of each case, where it was asked for: what other masks would have come to.
    """

    scores: list[Score]
    reliability: dict[str, Reliability]
    set_aside: list[SetAside]
    evidence: list[CaseEvidence] = field(default_factory=list)


def prepared_slices(config: Config, work: Path, workers: int | None) -> tuple[Catalogue, Prepared]:
    """Catalogue and slice cache of a configuration, made where they are missing.

    Raises:
        DataError: the data set is unusable as a whole.
    """
    with scanning(work, config.reading) as scanner:
        catalogue = read_catalogue(config.data, scanner)
    results: dict[str, CachedCase | ScanError] = {}
    results.update(
        tracked(
            prepare(catalogue, config, work, workers or default_workers()),
            "preprocessing",
            len(catalogue.labelled),
        )
    )
    prepared = collect(catalogue, results, config, work)
    report_set_aside(prepared.set_aside, work / "cache" / config.name / "quarantine.jsonl")
    report_warnings({case.name: case.warnings for case in prepared.cases})
    return catalogue, prepared


def predict_and_score(
    segmenter: Segmenter,
    cases: Sequence[Case],
    masks: Path,
    pseudonyms: Pseudonyms,
    gatherer: EvidenceCollector | None = None,
) -> Evaluated:
    """Predict labelled cases from their source files, write the masks, score on the native grid.

    Args:
        segmenter: makes the masks that are scored.
        cases: none of them seen by the segmenter before.
        masks: folder that takes them.
        pseudonyms: of the patients.
        gatherer: gathers evidence with the networks of the segmenter; None gathers none.
    """
    config = segmenter.config
    structures = structures_of(config.data.labels, config.structures)
    evaluated = Evaluated([], {}, [])
    for case in tracked(cases, "predicting", len(cases)):
        try:
            contrasts = read_contrasts(case.images, config.data.contrasts, config.reading)
            assert case.label is not None
            prediction = segmenter.predict_with_probabilities(*contrasts)
            _write_mask(prediction.mask, contrasts[0], mask_path(masks, case))
            reference = read_label(case.label, contrasts[0], config.reading, config.data.labels)
            patient = shown_patient(case, pseudonyms)
            found = score_case(
                case.name,
                prediction.mask,
                reference,
                structures,
                patient=patient,
                probabilities=prediction.probabilities,
            )
            if gatherer is not None:
                held_out = HeldOutCase(case.name, patient, contrasts, reference)
                evaluated.evidence.append(gatherer.evidence(held_out, prediction))
        except ScanError as error:
            evaluated.set_aside.append(SetAside.from_error(case.name, error))
            continue
        evaluated.scores.extend(found.scores)
        for name, bins in found.reliability.items():
            known = evaluated.reliability.get(name)
            evaluated.reliability[name] = bins if known is None else known + bins
    return evaluated


def shown_patient(case: Case, pseudonyms: Pseudonyms) -> str:
    """Whose case it is, as results may say it: a manifest's patients may be a hospital's."""
    return case.name if case.patient == case.name else pseudonyms.name(case.patient)


def mask_path(folder: Path, case: Case) -> Path:
    """Where the mask of a case lies; that of a picture is a picture."""
    scan = case.images[0]
    if isinstance(scan, Path) and is_picture(scan):
        return folder / f"{case.name}{mask_suffix(scan)}"
    return folder / f"{case.name}.nii.gz"


def examples(
    cases: Sequence[Case], scores: Sequence[Score], masks: Path, config: Config
) -> list[Example]:
    """A few scored cases, from the worst to the best, read again to be looked at."""
    by_name = {case.name: case for case in cases}
    chosen = []
    for name in _spread(scores):
        case = by_name[name]
        assert case.label is not None
        scan = read_scan(case.images[0], config.reading)
        mask = read_label(mask_path(masks, case), scan, config.reading)
        reference = read_label(case.label, scan, config.reading, config.data.labels)
        chosen.append(Example(name, scan, mask, reference))
    return chosen


def _write_mask(mask: Volume, scan: Volume, path: Path) -> None:
    if is_picture(path):
        write_picture_mask(mask, path)
    else:
        write_mask(mask, scan, path)


def model_files(model: str, work: Path) -> ModelFiles:
    """What is behind a model argument: a folder, a file, a run id or ``models:/`` name.

    Raises:
        ModelError: it leads to no model, or to a damaged one.
    """
    path = Path(model)
    if path.is_file():
        return ModelFiles((path,))
    if path.is_dir():
        chosen = path / INFERENCE
        return ModelFiles(tuple(checkpoints_in(path)), chosen if chosen.is_file() else None)
    from slicewise.tracking.resolving import resolve_model
    from slicewise.tracking.store import open_store

    found = resolve_model(open_store(work), model)
    if found is None:
        raise ModelError(
            model,
            expected="a folder or checkpoint of `slicewise train`, a run id, or models:/name@alias",
            found="none of these",
            remedy="correct the path, or look at the models with `slicewise models`",
        )
    return found


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
