"""Scans unlike those of a training are noticed, with reasons in words; scans like them are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from slicewise.dataset.measurements import PICTURE, Measurements, measure
from slicewise.errors import CheckpointError, ScanError
from slicewise.imaging.volume import Volume
from slicewise.segmentation.checkpoint import Checkpoint
from slicewise.segmentation.conformal import CalibratedProfile
from slicewise.segmentation.distributions import Gaussian
from slicewise.segmentation.scan_description import describe_scans
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


def test_limits_hold_for_scans_that_are_left_out() -> None:
    # Heavy tails: limits of a normal distribution are too narrow.
    random = np.random.default_rng(3)
    times = 0.0028 * np.exp(0.3 * random.standard_t(2, 60))
    many = [scan(voxels(seed), seed, EchoTime=time) for seed, time in enumerate(times)]
    known, later = many[:40], many[40:]
    calibrated = CalibratedProfile.of(known, [str(number) for number in range(40)])
    assert sum(bool(item.reasons) for item in calibrated.left_out) <= 2
    flagged = [item for item in later if calibrated.profile.compare(item)["EchoTime"].score > 1]
    assert len(flagged) <= 2
    assert reasons(calibrated.profile, scan(voxels(200), EchoTime=2.0))


def test_patients_are_left_out_with_all_of_their_scans() -> None:
    odd = [scan(voxels(seed), seed, EchoTime=0.098) for seed in (8, 9)]
    known = [*(scan(voxels(seed), seed) for seed in range(8)), *odd]
    together, apart = (
        CalibratedProfile.of(known, list(patients)).profile.intervals
        for patients in ("0123456788", "0123456789")
    )
    # Each of the two is expected only where the other one is known.
    assert together["EchoTime"].halfwidth > 2 * apart["EchoTime"].halfwidth
    assert together["spacing left to right"] == apart["spacing left to right"]


def test_a_training_of_one_patient_is_described() -> None:
    calibrated = CalibratedProfile.of([scan(voxels(seed), seed) for seed in range(6)], ["a"] * 6)
    assert not any(item.reasons for item in calibrated.left_out)


@pytest.mark.parametrize(("scans", "entries"), [(12, 512), (40, 60), (30, 9)])
def test_the_covariance_is_that_of_ledoit_and_wolf(scans: int, entries: int) -> None:
    random = np.random.default_rng(scans)
    vectors = random.normal(size=(scans, entries)) * np.linspace(0.1, 3, entries)
    expected = LedoitWolf().fit(vectors)
    gaussian = Gaussian.of(vectors)
    np.testing.assert_allclose(
        gaussian.log_distance(vectors[0] + 1),
        0.5 * np.log(expected.mahalanobis(vectors[:1] + 1)[0] / entries),
        atol=0.03,
    )


def test_what_the_scans_looked_like_in_words() -> None:
    known = [scan(voxels(seed), EchoTime=0.002 + 0.001 * seed) for seed in range(3)]
    looks = describe_scans(known, ["T1"])
    assert looks["modality"] == "MR"
    assert looks["acquisition"] == "echo time 2 to 4 ms"
    assert (
        looks["voxel spacing"] == "left to right 1 mm, back to front 1.1 mm, bottom to top 1.2 mm"
    )
    assert looks["field of view"].startswith("left to right 20 mm, back to front 17.6 mm")
    assert looks["intensities"].startswith("half of the voxels from -")
    mixed = [*known, replace(known[0], words={}, numbers={})]
    assert describe_scans(mixed, ["T1"])["modality"] == "MR (3), not recorded in the headers (1)"
    assert describe_scans(mixed[-1:], ["T1"])["acquisition"] == "not recorded in the headers"
    picture = replace(known[0], words={"Kind": PICTURE})
    assert "unknown" in describe_scans([picture], ["T1"])["voxel spacing"]
    assert describe_scans([picture], ["T1"])["field of view"] == (
        "in width 20 pixels, in height 17.6 pixels"
    )


def test_a_checkpoint_carries_it(profile: TrainingProfile) -> None:
    checkpoint = with_profile(Checkpoint("", {}, None, {"step": 3}), profile)
    assert read_profile(checkpoint, "last.pt") == profile
    assert read_profile(with_profile(checkpoint, None), "last.pt") is None
    text = str(checkpoint.facts["training_profile"])
    damaged = replace(checkpoint, facts={"training_profile": text.replace("centre", "center")})
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        read_profile(damaged, "last.pt")
