"""Figures of data sets in; network, batches, sampling, folds and augmentation out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from slicewise.dataset.patients import LikelyPatients
from slicewise.planning.draft import Draft
from slicewise.planning.fingerprint import CaseFingerprint, Fingerprint, StructureFacts
from slicewise.planning.machine import Machine
from slicewise.planning.rules import draft_plan

Make = Callable[..., CaseFingerprint]
Join = Callable[..., Fingerprint]
CPU, GPU = Machine("2 CPU threads", has_gpu=False), Machine("a GPU", has_gpu=True)


def planned(fingerprint: Fingerprint, machine: Machine = CPU, **overrides: Any) -> Draft:
    keys = {key.replace("__", "."): value for key, value in overrides.items()}
    return draft_plan("trial", fingerprint, machine, keys, 30)


@pytest.mark.parametrize(
    ("window", "features", "batch"),
    [
        ([32, 32], [32, 64, 128, 256], 32),
        ([56, 56], [32, 64, 128, 256], 32),
        ([96, 96], [32, 64, 128, 256, 256], 32),
        ([192, 192], [32, 64, 128, 256, 256], 8),
        ([128, 24], [32, 64, 128], 32),
        # 300,000 / (144 * 112) are 18.6.
        ([144, 112], [32, 64, 128, 256, 256], 16),
    ],
)
def test_levels_and_batch_follow_the_window(
    case: Make, data_set: Join, window: list[int], features: list[int], batch: int
) -> None:
    draft = planned(data_set(case("a"), case("b")), network__window=window)
    assert draft["network.features"] == features
    assert draft["training.batch_size"] == batch
    assert draft["inference.batch_size"] == 2 * batch


def test_a_gpu_carries_more_channels(case: Make, data_set: Join) -> None:
    draft = planned(data_set(case("a"), case("b")), GPU, network__window=[192, 192])
    assert draft["network.features"] == [32, 64, 128, 256, 512]


def test_strips_are_turned_less(case: Make, data_set: Join) -> None:
    fingerprint = data_set(case("a"), case("b"))
    strip = planned(fingerprint, network__window=[128, 48])
    square = planned(fingerprint, network__window=[48, 48])
    assert strip["augmentation.rotation_degrees"] < square["augmentation.rotation_degrees"]
    assert square["augmentation.mirror_axes"] == []


def test_rare_structures_are_drawn_more_often(case: Make, data_set: Join) -> None:
    plain = planned(data_set(case("a"), case("b")))
    assert plain["training.foreground_fraction"] == 0.5
    # 40 x 60 x 50 voxels are 120,000; 100 of them are less than one in a thousand.
    tiny = {1: StructureFacts(2400, (20, 25, 15), 1), 2: StructureFacts(100, (5, 5, 4), 1)}
    draft = planned(data_set(case("a", structures=tiny), case("b", structures=tiny)))
    assert draft["training.foreground_fraction"] == 0.67
    assert "small, fills 0.08%" in dict(draft)["training.foreground_fraction"].reason


def test_many_pieces_are_scored_one_by_one(case: Make, data_set: Join) -> None:
    lesions = {1: StructureFacts(2400, (20, 25, 15), 2), 2: StructureFacts(900, (30, 30, 20), 14)}
    cases = [case(name, structures=lesions) for name in "abc"]
    draft = planned(data_set(*cases, case("d")))
    # Two pieces are left and right.
    assert draft["structures"] == {"small": {"several_components": True}}


@pytest.mark.parametrize(("count", "folds"), [(2, 2), (3, 3), (5, 5), (12, 5)])
def test_folds_follow_the_patients(case: Make, data_set: Join, count: int, folds: int) -> None:
    cases = [case(f"c{number}") for number in range(count)]
    assert planned(data_set(*cases))["data.fold_count"] == folds
    twice = [replace(one, name=f"{one.name}b") for one in cases]
    assert planned(data_set(*cases, *twice))["data.fold_count"] == folds


def test_likely_patients_become_the_pattern(case: Make, data_set: Join) -> None:
    cases = [case(f"P{number}_{side}") for number in range(3) for side in "ab"]
    likely = LikelyPatients(r"^P(\d+)", 1, 3, "names begin alike")
    draft = planned(data_set(*cases, likely_patients=likely))
    choice = dict(draft)["data.patient_pattern"]
    assert (choice.value, choice.reason) == (r"^P(\d+)", "names begin alike")
    assert draft["data.fold_count"] == 3


def test_budgets(case: Make, data_set: Join) -> None:
    fingerprint = data_set(case("a"), case("b"))
    assert planned(fingerprint)["training.budget_minutes"] == 30
    assert planned(fingerprint, training__budget_minutes=7)["training.budget_minutes"] == 7
    values = planned(fingerprint, training__steps=90).values()["training"]
    assert values["steps"] == 90
    assert "budget_minutes" not in values


def test_contrasts_that_may_be_missing_are_dropped_in_training(case: Make, data_set: Join) -> None:
    fingerprint = data_set(case("a"), case("b"))
    key = "augmentation.contrast_dropout_probability"
    assert key not in dict(planned(fingerprint))
    assert key not in dict(planned(fingerprint, data__missing_contrasts="zero"))
    two = data_set(case("a"), case("b"), contrasts=("T1", "T2"))
    assert key not in dict(planned(two))
    assert planned(two, data__missing_contrasts="zero")[key] > 0


def test_contrasts_on_different_grids_are_resampled(case: Make, data_set: Join) -> None:
    key = "reading.different_grids"
    assert key not in dict(planned(data_set(case("a"), case("b"))))
    apart = data_set(case("a"), case("b", is_on_common_grid=False))
    assert planned(apart)[key] == "resample"
