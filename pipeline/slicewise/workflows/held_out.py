"""Predicts and scores what a fold holds out; the model gets what its scans looked like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicewise.dataset.fold_cases import FoldCases
from slicewise.dataset.mask_sources import add_sources
from slicewise.evaluation.inference_tuning.evidence import write_evidence
from slicewise.evaluation.inference_tuning.evidence_collector import EvidenceCollector
from slicewise.evaluation.inference_tuning.options import is_configured
from slicewise.evaluation.predict_and_score import ScoredCases, mask_sources, predict_and_score
from slicewise.segmentation.inference import Predictor
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
    predictor = Predictor.from_checkpoint(checkpoint)
    collector = None
    if not is_configured(setup.config.inference):
        collector = EvidenceCollector(predictor, cases.fold.number)
    scored = predict_and_score(
        predictor,
        cases.held_out,
        folder.masks,
        setup.pseudonyms,
        collector=collector,
        progress=setup.progress,
    )
    add_sources(setup.work.mask_sources, mask_sources(folder.masks, cases.held_out))
    if collector is not None:
        write_evidence(folder.path, scored.evidence)
    scans = write_profile(predictor, cases.train, cases.val, scored.measurements, checkpoint)
    return scored, scans
