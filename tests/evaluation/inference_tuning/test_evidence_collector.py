"""What evidence says of a case is what the metrics and the predictor itself would say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from slicewise.config import Config
from slicewise.evaluation.inference_tuning.evidence import CaseEvidence
from slicewise.evaluation.inference_tuning.evidence_collector import EvidenceCollector, HeldOutCase
from slicewise.evaluation.inference_tuning.options import NEUTRAL, POSTPROCESSING, TEMPERATURES
from slicewise.imaging.volume import Volume
from slicewise.metrics.overlap import overlap
from slicewise.segmentation.confidence import estimated_dice, without_improbable
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.member import Member
from slicewise.segmentation.postprocessing import postprocess
from slicewise.segmentation.prediction import Prediction
from slicewise.segmentation.probability_maps import with_temperature

LABELS = {"core": 3, "rim": 7}
SHAPE = (17, 14, 9)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """One convolution without any symmetry: each class is somewhere the most probable one."""
    config = Config.model_validate(
        {
            "name": "toy",
            "data": {"labels": LABELS},
            "preprocessing": {"plane": "axial", "foreground": "all", "clip_percentiles": (0, 100)},
            "network": {"features": (4,), "window": (16, 16), "context_slices": 0},
            "training": {"steps": 1, "precision": "float32", "device": "cpu"},
            "augmentation": {"mirror_axes": ["left_right", "up_down"]},
        }
    )
    network = nn.Conv2d(1, 3, kernel_size=3, padding=1).eval()
    weights = torch.randn(network.weight.shape, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        network.weight.copy_(0.5 * weights)
        network.bias.zero_()
    return Predictor(config, [Member(network, config)], torch.device("cpu"))


@pytest.fixture(scope="module")
def case() -> HeldOutCase:
    random = np.random.default_rng(0)
    affine = np.array([[0, -1.5, 0, 9], [1.2, 0, 0, -4], [0, 0, 2.5, 1], [0, 0, 0, 1.0]])
    scan = Volume(random.normal(100, 20, SHAPE).astype(np.float32), affine, "scan")
    label = np.zeros(SHAPE, np.uint8)
    label[4:12, 3:9, 2:7] = 3
    label[6:9, 9:12, 3:5] = 7
    # The label lies on the grid of the scan, with its axes in another order.
    return HeldOutCase("a", "p", [scan], scan.with_voxels(label).reoriented("LPI"))


@pytest.fixture(scope="module")
def plain(predictor: Predictor, case: HeldOutCase) -> Prediction:
    found = predictor.predict(*case.contrasts)
    assert set(np.unique(found.voxels)) == {0, 3, 7}
    return found


@pytest.fixture(scope="module")
def evidence(predictor: Predictor, case: HeldOutCase, plain: Prediction) -> CaseEvidence:
    return EvidenceCollector(predictor, 2).evidence(case, plain)


def truth(case: HeldOutCase, plain: Prediction) -> np.ndarray:
    return case.reference.reoriented(plain.orientation).voxels


def test_names(evidence: CaseEvidence) -> None:
    assert (evidence.case, evidence.patient, evidence.fold) == ("a", "p", 2)
    assert list(evidence.structures) == list(LABELS)


def test_dice_of_every_mask(evidence: CaseEvidence, case: HeldOutCase, plain: Prediction) -> None:
    reference = truth(case, plain)
    for name, value in LABELS.items():
        found = evidence.structures[name]
        dice = overlap(plain.voxels, reference, value).dice
        assert found.plain.dice == pytest.approx(dice, abs=1e-6)
        for option, section in POSTPROCESSING.items():
            cleaned = postprocess(plain, LABELS, {name: section}).voxels
            if np.array_equal(cleaned, plain.voxels):
                assert option not in found.changed
            else:
                dice = overlap(cleaned, reference, value).dice
                assert found.changed[option].dice == pytest.approx(dice, abs=1e-6)
    assert evidence.structures["core"].changed


def estimate(probability: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    values = without_improbable(probability)
    return estimated_dice(float(values[mask].sum()), float(values.sum()), int(mask.sum()))


@pytest.mark.parametrize("place", [0, NEUTRAL, len(TEMPERATURES) - 1])
def test_estimates_are_those_of_the_calibrated_probabilities(
    evidence: CaseEvidence, plain: Prediction, place: int
) -> None:
    stacked = torch.from_numpy(np.stack([item.voxels for item in plain.probabilities]))
    calibrated = with_temperature(stacked, TEMPERATURES[place]).numpy()
    for number, (name, value) in enumerate(LABELS.items(), start=1):
        found = evidence.structures[name]
        estimated = estimate(calibrated[number], plain.voxels == value)
        assert found.plain.estimated_dice[place] == pytest.approx(estimated, abs=1e-5)
        for option, changed in found.changed.items():
            mask = postprocess(plain, LABELS, {name: POSTPROCESSING[option]})
            estimated = estimate(calibrated[number], mask.voxels == value)
            assert changed.estimated_dice[place] == pytest.approx(estimated, abs=1e-5)


@pytest.mark.parametrize("place", [0, NEUTRAL, len(TEMPERATURES) - 1])
def test_nll_is_cross_entropy(
    evidence: CaseEvidence, case: HeldOutCase, plain: Prediction, place: int
) -> None:
    stacked = torch.from_numpy(np.stack([item.voxels for item in plain.probabilities]))
    chosen = stacked[0] <= 0.99
    classes = torch.zeros(SHAPE, dtype=torch.long)
    for number, value in enumerate(LABELS.values(), start=1):
        classes[torch.from_numpy(truth(case, plain).copy()) == value] = number
    logits = stacked[:, chosen].log().T / TEMPERATURES[place]  # (N, K)
    reference = F.cross_entropy(logits, classes[chosen]).item()
    assert evidence.nll is not None
    assert evidence.nll[place] == pytest.approx(reference, rel=1e-3)


@pytest.mark.parametrize("axes", [("left_right",), ("up_down",), ("left_right", "up_down")])
def test_mirrored_is_what_the_predictor_would_predict(
    evidence: CaseEvidence, predictor: Predictor, case: HeldOutCase, axes: tuple[str, ...]
) -> None:
    section = predictor.config.inference.model_copy(update={"mirror_axes": axes})
    found = predictor.with_inference(section).predict(*case.contrasts)
    reference = truth(case, found)
    mirrored = evidence.mirrored[", ".join(axis.replace("_", "-") for axis in axes)]
    for name, value in LABELS.items():
        dice = overlap(found.voxels, reference, value).dice
        assert mirrored[name] == pytest.approx(dice, abs=2e-3)
    assert len(evidence.mirrored) == 3


def test_without_mirroring_nothing_more_is_predicted(
    predictor: Predictor, case: HeldOutCase, plain: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = predictor.config.augmentation.model_copy(update={"mirror_axes": ()})
    config = predictor.config.model_copy(update={"augmentation": still})
    monkeypatch.setattr(Predictor, "predict", None)
    found = EvidenceCollector(Predictor(config, predictor.members, predictor.device), 0)
    assert found.evidence(case, plain).mirrored == {}


def test_a_case_without_anything(predictor: Predictor, case: HeldOutCase) -> None:
    still = predictor.config.augmentation.model_copy(update={"mirror_axes": ()})
    config = predictor.config.model_copy(update={"augmentation": still})
    collector = EvidenceCollector(Predictor(config, predictor.members, predictor.device), 0)
    (scan,) = case.contrasts
    zeros = np.zeros(SHAPE, np.float32)
    empty = Prediction.of(
        scan.with_voxels(zeros.astype(np.uint8)),
        tuple(scan.with_voxels(item) for item in (zeros + 1, zeros, zeros)),
    )
    nothing = replace(case, reference=scan.with_voxels(zeros.astype(np.uint8)))
    found = collector.evidence(nothing, empty)
    assert found.nll is None
    core = found.structures["core"]
    assert (core.plain.dice, set(core.plain.estimated_dice), core.changed) == (None, {0.0}, {})
    # A structure that is missed has Dice 0.
    assert collector.evidence(case, empty).structures["core"].plain.dice == 0
