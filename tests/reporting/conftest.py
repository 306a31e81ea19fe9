"""A small judged run, to be told by page and slides."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicewise.config import parse_config
from slicewise.evaluation.comparison import compare
from slicewise.evaluation.results import Results, RunFacts
from slicewise.evaluation.scores import Score, are_in_pixels
from slicewise.evaluation.statistics import mean_dice_interval, summarize
from slicewise.imaging.structures import structures_of
from slicewise.imaging.volume import Volume
from slicewise.metrics.calibration import Reliability
from slicewise.reporting.report.case_panels import ShownCase, draw_case
from slicewise.reporting.report.contents import Compared, Report, ReportedCase
from slicewise.reporting.report.failures import find_failures

CONFIG = """
name: phantom
data: {labels: {core: 1, rim_zone: 2}, contrasts: [T2]}
preprocessing: {plane: axial}
network: {features: [4, 8], window: [16, 16]}
training: {steps: 40}
"""

MakeScore = Callable[..., Score]
MakeReport = Callable[..., Report]


@pytest.fixture(scope="session")
def a_score() -> MakeScore:
    """One row; what is not said is that of a good case."""

    def make(case: str = "alpha", structure: str = "core", **values: Any) -> Score:
        usual: dict[str, Any] = {
            "patient": case,
            "state": "detected",
            "dice": 0.9,
            "iou": 0.82,
            "sensitivity": 0.88,
            "precision": 0.92,
            "hd95_mm": 2.0,
            "surface_distance_mm": 0.5,
            "surface_dice": 0.95,
            "predicted_ml": 4.1,
            "reference_ml": 4.0,
            "calibration_error": 0.05,
            "confidence": 0.97,
        }
        return Score(case=case, structure=structure, **(usual | values))

    return make


@pytest.fixture(scope="session")
def a_report(a_score: MakeScore) -> MakeReport:
    """A report of twelve cases, with another run and one drawn case; parts may be replaced."""

    def make(structures: tuple[str, str] = ("core", "rim_zone"), **parts: Any) -> Report:
        scores = tuple(
            a_score(f"case{number}", name, dice=0.8 + 0.01 * number)
            for number in range(12)
            for name in structures
        )
        scores = parts.pop("scores", scores)
        config = parse_config(CONFIG, "test")
        labels = dict(zip(structures, (1, 2), strict=True))
        named = structures_of(labels, {})
        facts = RunFacts(
            "phantom", "network", 2, "by patient", 30, 25, 900, 12, 12, 0,
            {"broken": "the file is truncated"}, 90.0, "0.1.0", "2026-11-22",
            {"modality": "MR"}, {"case3": "echo time 98 ms"},
        )  # fmt: skip
        bins = Reliability((0,) * 14 + (100,), (0.0,) * 14 + (97.0,), (0,) * 14 + (90,))
        fold = Results(
            Path("run"), facts, config, scores, {structures[0]: bins},
            ({"step": 20, "mean": 0.7, **dict.fromkeys(structures, 0.7)},
             {"step": 40, "mean": 0.9, **dict.fromkeys(structures, 0.9)}),
            ((10, 1.0), (40, 0.25)),
        )  # fmt: skip
        usual: dict[str, Any] = {
            "name": "phantom",
            "folds": (fold,),
            "structures": named,
            "scores": scores,
            "summaries": tuple(summarize(scores)),
            "headline": mean_dice_interval(scores),
            "volumes_ml": {},
            "failures": tuple(find_failures(scores)),
            "compared": (),
            "cases": (a_drawn_case(named),),
            "viewer": None,
            "network": None,
            "notes": (),
            "provenance": {"what": "U-Net, fold 2", "seed": "seed 0"},
            "in_pixels": are_in_pixels(scores),
        }
        return Report(**(usual | parts))

    return make


@pytest.fixture(scope="session")
def compared(a_score: MakeScore) -> Callable[[Report], Compared]:
    """A classical baseline that is worse by 0.2 in every case."""

    def make(report: Report) -> Compared:
        worse = [
            a_score(row.case, row.structure, dice=row.dice - 0.2, patient=row.patient)
            for row in report.scores
        ]
        comparison = compare(worse, report.scores, ("baseline", "network"))
        return Compared("baseline", "baseline", mean_dice_interval(worse), (comparison,), ("few",))

    return make


def a_drawn_case(structures: Any) -> ReportedCase:
    """Case 11: a block that is predicted one row too far to the front."""
    scan = Volume(np.arange(14 * 11 * 5.0).reshape(14, 11, 5), np.diag([1.0, 1.5, 4.0, 1.0]))
    reference, predicted = np.zeros((2, 14, 11, 5), np.uint8)
    reference[3:9, 2:6, 1:4] = 1
    predicted[3:9, 2:7, 1:4] = 1
    shown = ShownCase(
        "case11", scan, scan.with_voxels(predicted), scan.with_voxels(reference), structures
    )
    return ReportedCase(
        draw_case(shown, "axial", by_errors=False), "best", ("a false-positive component",)
    )


@pytest.fixture
def undefined() -> dict[str, float]:
    """Figures of a case without the structure in prediction and reference."""
    keys = (
        "dice", "iou", "sensitivity", "precision", "hd95_mm", "surface_distance_mm",
        "surface_dice", "calibration_error", "confidence",
    )  # fmt: skip
    return dict.fromkeys(keys, math.nan) | {"predicted_ml": 0.0, "reference_ml": 0.0}
