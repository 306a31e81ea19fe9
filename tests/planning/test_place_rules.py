"""Structures that look alike, and those that do not; coordinates only where they help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from slicewise.planning.fingerprint import CaseFingerprint, Fingerprint, StructureFacts
from slicewise.planning.machine import Machine
from slicewise.planning.place_rules import alike_structures
from slicewise.planning.rules import draft_plan

Make = Callable[..., CaseFingerprint]
Join = Callable[..., Fingerprint]
THICK = {"shape": (20, 224, 224), "spacing_mm": (4.0, 1.0, 1.0)}
LEFT = StructureFacts(2400, (20.0, 25.0, 15.0), 1)
RIGHT = StructureFacts(2300, (22.0, 24.0, 16.0), 1)


def pair(case: Make, data_set: Join, second: StructureFacts, **changes: Any) -> Fingerprint:
    cases = [case(name, structures={1: LEFT, 2: second}, **changes) for name in "abc"]
    return data_set(*cases, labels={"left": 1, "right": 2})


def coordinates(fingerprint: Fingerprint, **overrides: Any) -> tuple[bool, str]:
    draft = draft_plan("trial", fingerprint, Machine("2 CPU threads", False), overrides, 30)
    return draft["network.coordinates"], dict(draft)["network.coordinates"].reason


def test_two_sides_in_one_plane_get_coordinates(case: Make, data_set: Join) -> None:
    chosen, reason = coordinates(pair(case, data_set, RIGHT, **THICK))
    assert chosen
    assert "left, right look alike" in reason


def test_three_planes_tell_places_apart(case: Make, data_set: Join) -> None:
    chosen, reason = coordinates(pair(case, data_set, RIGHT))
    assert not chosen
    assert "three planes" in reason


@pytest.mark.parametrize(
    "other",
    [
        replace(RIGHT, voxels=1500),
        replace(RIGHT, extent_mm=(20.0, 25.0, 25.0)),
    ],
)
def test_another_size_or_shape_is_not_alike(
    case: Make, data_set: Join, other: StructureFacts
) -> None:
    fingerprint = pair(case, data_set, other, **THICK)
    assert alike_structures(fingerprint) == []
    assert coordinates(fingerprint) == (False, "")


def test_one_odd_case_does_not_decide(case: Make, data_set: Join) -> None:
    odd = case("d", structures={1: LEFT, 2: replace(RIGHT, voxels=200)}, **THICK)
    usual = pair(case, data_set, RIGHT, **THICK)
    assert coordinates(replace(usual, cases=(*usual.cases, odd)))[0]


def test_structures_of_different_cases_are_not_compared(case: Make, data_set: Join) -> None:
    cases = [case("a", structures={1: LEFT}, **THICK), case("b", structures={2: RIGHT}, **THICK)]
    assert not coordinates(data_set(*cases, labels={"left": 1, "right": 2}))[0]


@pytest.mark.parametrize("key", ["augmentation.mirror_axes", "inference.mirror_axes"])
def test_no_coordinates_with_mirroring(case: Make, data_set: Join, key: str) -> None:
    chosen, reason = coordinates(pair(case, data_set, RIGHT, **THICK), **{key: ["left_right"]})
    assert not chosen
    assert key in reason
