"""Predicts and scores what a fold holds out; the model gets what its scans looked like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.dataset.catalogue import Case
from slicewise.dataset.fold_cases import FoldCases
from slicewise.dataset.mask_sources import add_sources
from slicewise.dataset.work_folder import WorkFolder
from slicewise.evaluation.inference_tuning.evidence import write_evidence
from slicewise.evaluation.inference_tuning.evidence_collector import EvidenceCollector
from slicewise.evaluation.inference_tuning.options import is_configured
from slicewise.evaluation.predict_and_score import ScoredCases, mask_sources, predict_and_score
from slicewise.imaging.pseudonyms import Pseudonyms
from slicewise.progress import SILENT, Progress
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.process_group import ProcessGroup
from slicewise.segmentation.profiling import TrainingScans, write_profile
from slicewise.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from slicewise.workflows.train_fold import TrainingSetup


def predict_held_out(
    setup: TrainingSetup, cases: FoldCases, folder: RunFolder
) -> tuple[ScoredCases, TrainingScans]:
    """Predict and score what a fold holds out; leave masks and evidence in its folder.

    The checkpoint gets what its training scans looked like, which is returned in words, too.
    """
    checkpoint = folder.kept_checkpoint(setup.config)
    with_evidence = not is_configured(setup.config.inference)
    shared = (checkpoint, cases.held_out, folder.masks, cases.fold.number, with_evidence)
    setup.group.call(_take_part, setup.work.path, *shared)
    predictor, scored = _predict(*shared, setup.pseudonyms, setup.progress, setup.group)
    add_sources(setup.work.mask_sources, mask_sources(folder.masks, cases.held_out))
    if with_evidence:
        write_evidence(folder.path, scored.evidence)
    scans = write_profile(predictor, cases.train, cases.val, scored.measurements, checkpoint)
    return scored, scans


def _take_part(
    group: ProcessGroup,
    work: Path,
    checkpoint: Path,
    cases: Sequence[Case],
    masks: Path,
    fold: int,
    with_evidence: bool,
) -> None:
    """What the other processes of a training do."""
    pseudonyms = WorkFolder(work).pseudonyms
    _predict(checkpoint, cases, masks, fold, with_evidence, pseudonyms, SILENT, group)


def _predict(
    checkpoint: Path,
    cases: Sequence[Case],
    masks: Path,
    fold: int,
    with_evidence: bool,
    pseudonyms: Pseudonyms,
    progress: Progress,
    group: ProcessGroup,
) -> tuple[Predictor, ScoredCases]:
    predictor = Predictor.from_checkpoint(checkpoint)
    scored = predict_and_score(
        predictor,
        cases,
        masks,
        pseudonyms,
        collector=EvidenceCollector(predictor, fold) if with_evidence else None,
        progress=progress,
        group=group,
    )
    return predictor, scored
