"""Predicts labelled cases from their source files and scores the masks on the native grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slicewise.dataset.catalogue import Case, Images, SetAside
from slicewise.dataset.contrasts import read_contrasts
from slicewise.dataset.measurements import Measurements
from slicewise.errors import ScanError
from slicewise.evaluation.inference_tuning.evidence import CaseEvidence
from slicewise.evaluation.inference_tuning.evidence_collector import EvidenceCollector, HeldOutCase
from slicewise.evaluation.scores import CaseScores, Score, score_case
from slicewise.file_names import require_short_name
from slicewise.imaging.mark import PREDICT, Writer, marking
from slicewise.imaging.memory import within_memory
from slicewise.imaging.nifti.writing import write_mask
from slicewise.imaging.pictures import is_picture, mask_suffix, write_picture_mask
from slicewise.imaging.pseudonyms import Pseudonyms
from slicewise.imaging.scan import read_label
from slicewise.imaging.structures import structures_of
from slicewise.imaging.volume import Volume
from slicewise.metrics.calibration import Reliability
from slicewise.progress import SILENT, Progress, tracked
from slicewise.segmentation.prediction import Segmenter
from slicewise.segmentation.process_group import ALONE, ProcessGroup


@dataclass(frozen=True)
class ScoredCases:
    """Predicted cases and how good their masks are.

    Attributes:
        scores: one row per case and structure.
        reliability: structure to its probabilities against the truth, over all cases.
        set_aside: cases that could not be predicted or scored.
        evidence: of each case, where it was asked for: what other masks would have scored.
        measurements: name of each predicted case to how the network has seen it.
    """

    scores: list[Score]
    reliability: dict[str, Reliability]
    set_aside: list[SetAside]
    evidence: list[CaseEvidence] = field(default_factory=list)
    measurements: dict[str, Measurements] = field(default_factory=dict)


_Scored = tuple[CaseScores, list[CaseEvidence], Sequence[Measurements]]


def predict_and_score(
    segmenter: Segmenter,
    cases: Sequence[Case],
    masks: Path,
    pseudonyms: Pseudonyms,
    *,
    collector: EvidenceCollector | None = None,
    progress: Progress = SILENT,
    group: ProcessGroup = ALONE,
) -> ScoredCases:
    """Predict labelled cases, write their masks, and score these on the native grid.

    Args:
        segmenter: makes the masks.
        cases: none of them seen by the segmenter in training.
        masks: folder that takes them.
        pseudonyms: of the patients.
        collector: collects evidence with the networks of the segmenter; None collects none.
        progress: counts the cases.
        group: whose processes share the cases; each gets the result of all of them.

    Raises:
        OutputError: a mask cannot be written.
    """
    own = group.some_of(cases)
    what = "predicting" if group.size == 1 else f"predicting, as one of {group.size} processes"
    results = [
        _score_or_set_aside(segmenter, case, masks, pseudonyms, collector, progress)
        for case in tracked(own, progress, what, len(own))
    ]
    found = ScoredCases([], {}, [])
    for case, result in zip(cases, group.gathered(results), strict=True):
        if isinstance(result, SetAside):
            found.set_aside.append(result)
            continue
        scored, evidence, measured = result
        found.evidence.extend(evidence)
        found.measurements.update((case.name, item) for item in measured)
        found.scores.extend(scored.scores)
        for name, bins in scored.reliability.items():
            known = found.reliability.get(name)
            found.reliability[name] = bins if known is None else known + bins
    return found


def _score_or_set_aside(
    segmenter: Segmenter,
    case: Case,
    masks: Path,
    pseudonyms: Pseudonyms,
    collector: EvidenceCollector | None,
    progress: Progress,
) -> _Scored | SetAside:
    try:
        with within_memory(case.name):
            return _score_one(segmenter, case, masks, pseudonyms, collector, progress)
    except ScanError as error:
        return SetAside.from_error(case.name, error)


def _score_one(
    segmenter: Segmenter,
    case: Case,
    masks: Path,
    pseudonyms: Pseudonyms,
    collector: EvidenceCollector | None,
    progress: Progress,
) -> _Scored:
    config = segmenter.config
    contrasts = read_contrasts(case.images, config.data.contrasts, config.reading)
    assert case.label is not None
    path = mask_path(masks, case)
    require_short_name(path)
    prediction = segmenter.predict(*contrasts, case=case.name)
    for note in prediction.notes:
        progress.message(f"{case.name}: {note}")
    with marking(Writer(PREDICT, segmenter.made_by), [path]):
        _write_mask(prediction, contrasts[0], path)
    reference = read_label(case.label, contrasts[0], config.reading, config.data.labels)
    patient = shown_patient(case, pseudonyms)
    scored = score_case(
        case.name,
        prediction,
        reference,
        structures_of(config.data.labels, config.structures),
        patient=patient,
        probabilities=prediction.probabilities,
    )
    if collector is None:
        return scored, [], prediction.measurements
    held_out = HeldOutCase(case.name, patient, contrasts, reference)
    return scored, [collector.evidence(held_out, prediction)], prediction.measurements


def shown_patient(case: Case, pseudonyms: Pseudonyms) -> str:
    """The patient of a case as results may name it: those of a manifest may be a hospital's."""
    return case.name if case.patient == case.name else pseudonyms.name(case.patient)


def mask_path(folder: Path, case: Case) -> Path:
    """Where the mask of a case lies; that of a picture is a picture."""
    scan = case.images[0]
    suffix = mask_suffix(scan) if isinstance(scan, Path) and is_picture(scan) else ".nii.gz"
    return folder / f"{case.name}{suffix}"


def mask_sources(folder: Path, cases: Sequence[Case]) -> dict[Path, Images]:
    """The masks that were written for cases, and the scans that they were made from."""
    paths = {mask_path(folder, case): case.images for case in cases}
    return {path: images for path, images in paths.items() if path.is_file()}


def _write_mask(mask: Volume, scan: Volume, path: Path) -> None:
    if is_picture(path):
        write_picture_mask(mask, path)
    else:
        write_mask(mask, scan, path)
