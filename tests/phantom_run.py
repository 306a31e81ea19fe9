"""A small data set and the folder of a run on it, for tests; nothing is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slicewise.config import as_yaml, parse_config
from slicewise.evaluation.results import RunFacts, write_losses, write_results
from slicewise.evaluation.scores import Score, score_case
from slicewise.imaging.files import write_text
from slicewise.imaging.nifti.writing import write_mask, write_volume
from slicewise.imaging.structures import structures_of
from slicewise.imaging.volume import Volume

LABELS = {"core": 1, "</script><b>rim</b>": 2}
CONFIG = """
name: phantom
data: {labels: {core: 1, "</script><b>rim</b>": 2}}
preprocessing: {plane: axial}
network: {features: [4, 8], window: [16, 16]}
training: {steps: 40}
"""
SHAPE = (30, 24, 9)
CASES = 7


def write_case(data: Path, masks: Path, name: str, shift: int) -> list[Score]:
    """An oblique scan with two blocks, predicted some voxels too far to the left."""
    turn = np.radians(9)
    affine = np.eye(4)
    affine[:2, :2] = [[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine = affine @ np.diag([1.5, 1.2, 4.0, 1.0])
    label = np.zeros(SHAPE, np.uint8)
    label[8:20, 6:16, 2:7] = 1
    label[20:24, 6:16, 2:5] = 2
    noise = np.random.default_rng(shift).normal(100, 5, SHAPE)
    scan = Volume((noise + 60 * label).astype(np.float32), affine, name)
    reference, predicted = scan.with_voxels(label), scan.with_voxels(np.roll(label, shift, 0))
    write_volume(scan, data / "images" / f"{name}.nii.gz")
    write_mask(reference, scan, data / "labels" / f"{name}.nii.gz")
    write_mask(predicted, scan, masks / f"{name}.nii.gz")
    return score_case(name, predicted, reference, structures_of(LABELS, {})).scores


def write_run(run: Path, data: Path) -> None:
    """Scans and references below ``data``; masks, scores, losses and configuration in ``run``."""
    scores: list[Score] = []
    for number in range(CASES):
        shift = 9 if number == CASES - 1 else number % 3
        scores += write_case(data, run / "masks", f"case{number}", shift)
    facts = RunFacts(
        "phantom", "network", 0, "by patient", 30, 25, 900, CASES, CASES, 0, {}, 90.0, "0.1.0",
        "2026-11-22",
    )  # fmt: skip
    write_results(run, facts, scores, {})
    write_text(run / "config.yaml", as_yaml(parse_config(CONFIG, "test")))
    write_losses(run / "losses.csv", [1.0, 0.5, 0.25])
