"""Scans unlike those of a training are noticed, with reasons in words; scans like them are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from slicewise.dataset.measurements import Measurements, measure
from slicewise.errors import CheckpointError, ScanError
from slicewise.imaging.volume import Volume
from slicewise.segmentation.checkpoint import Checkpoint
from slicewise.segmentation.training_profile import (
    TrainingProfile,
    read_profile,
    with_profile,
)
from slicewise.segmentation.unlikeness import UNKNOWN, Unlikeness

SHAPE = (20, 16, 12)


def voxels(seed: int) -> np.ndarray:
    """A head with a nose and a neck: no two of its sides are alike."""
    random = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE), indexing="ij")
    size = random.normal(0.6, 0.03)
    head = (x**2 + y**2 + z**2 < size**2) * 2.0
    head += ((x - 0.3) ** 2 + (y - 0.6) ** 2 < 0.08) * 1.0  # in front, on the right
    head += (z < -0.5) * 0.7
    return head + random.normal(0, 0.1, SHAPE)


def noise_like(image: np.ndarray) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, image.shape)


def scan(
    image: np.ndarray, seed: int = 0, spacing_mm: float = 1.0, **facts: object
) -> Measurements:
    random = np.random.default_rng(seed)
    affine = np.diag([spacing_mm, 1.1, 1.2, 1.0])
    known = {"EchoTime": random.uniform(0.0021, 0.0035), "Modality": "MR"} | facts
    normal = (image - image.mean()) / max(image.std(), 1e-6)
    normalised = torch.from_numpy(normal.astype(np.float32))[None]
    volume = Volume(image, affine, acquisition=known)
    mask = volume.with_voxels((image > 1.5).astype(np.uint8))
    found = measure([volume], normalised).with_structures(mask, {"grey": 1}, SHAPE, affine)
    return found.with_features((normalised.mean((1, 2))[0, ::4] + normalised.std()).tolist())


@pytest.fixture(scope="module")
def profile() -> TrainingProfile:
    return TrainingProfile.of([scan(voxels(seed), seed) for seed in range(12)])


def reasons(profile: TrainingProfile, item: Measurements) -> str:
    return "; ".join(Unlikeness.of([profile.compare(item)]).reasons)


def test_scans_of_the_same_kind_are_not_called_unlike(profile: TrainingProfile) -> None:
    flagged = [seed for seed in range(100, 160) if reasons(profile, scan(voxels(seed), seed))]
    assert len(flagged) <= 3, flagged


@pytest.mark.fault(134, "W")
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda image: scan(image, EchoTime=0.098), "echo time 98 ms; training had 2."),
        (lambda image: scan(image, Modality="CT"), "modality CT; training had MR"),
        (lambda image: scan(image, spacing_mm=10), "voxel spacing left to right 10 mm"),
        (lambda image: scan(-image), "looks unlike the training scans: intensities"),
        (lambda image: scan(np.flip(image, 1)), "looks mirrored back to front"),
        (lambda image: scan(np.flip(image, 2)), "looks mirrored bottom to top"),
        (lambda image: scan(image[::-1]), "looks mirrored left to right"),
        (lambda image: scan(np.full_like(image, 7)), "volume of grey"),
        (lambda image: scan(noise_like(image)), "neighbouring voxels"),
    ],
)
def test_what_is_unlike_is_said(
    profile: TrainingProfile, changed: Callable[[np.ndarray], Measurements], words: str
) -> None:
    assert words in reasons(profile, changed(voxels(200)))


def test_volumes_stand_next_to_those_of_the_training(profile: TrainingProfile) -> None:
    large = replace(scan(voxels(200)), volumes_ml={"grey": 5443.0})
    known = profile.intervals["volume grey"]
    low, high = known.lowest**3, known.highest**3
    found = reasons(profile, large)
    assert f"volume of grey 5,443 ml; training had {low:.3g} to {high:.3g} ml" in found


@pytest.mark.fault(134, "E")
def test_an_unlike_scan_is_refused_on_request(profile: TrainingProfile) -> None:
    found = Unlikeness.of([profile.compare(scan(voxels(200), EchoTime=0.098))])
    with pytest.raises(ScanError, match="echo time 98 ms"):
        found.require_alike("head")
    with pytest.raises(ScanError, match="knows what the scans of its training looked like"):
        UNKNOWN.require_alike("head")
    Unlikeness.of([profile.compare(scan(voxels(200), 3))]).require_alike("head")


def test_an_ensemble_goes_by_the_median_of_its_networks(profile: TrainingProfile) -> None:
    like, unlike = (profile.compare(scan(voxels(200), 3, Modality=word)) for word in ("MR", "CT"))
    assert not Unlikeness.of([like, like, unlike]).reasons
    assert Unlikeness.of([like, unlike, unlike]).reasons


def test_a_word_that_hardly_repeats_is_no_limit() -> None:
    words = ["t1", "t1c", "mprage", "t1", "spgr", "bravo"]
    many = [scan(voxels(seed), seed, Contrast=word) for seed, word in enumerate(words)]
    assert "Contrast" not in TrainingProfile.of(many).words


def test_a_checkpoint_carries_it(profile: TrainingProfile) -> None:
    checkpoint = with_profile(Checkpoint("", {}, None, {"step": 3}), profile)
    assert read_profile(checkpoint, "last.pt") == profile
    assert read_profile(with_profile(checkpoint, None), "last.pt") is None
    text = str(checkpoint.facts["training_profile"])
    damaged = replace(checkpoint, facts={"training_profile": text.replace("centre", "center")})
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        read_profile(damaged, "last.pt")
