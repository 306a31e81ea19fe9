"""Figures of data sets in; plane, spacing, normalisation, window and neighbours out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from slicewise.config import PreprocessingSection
from slicewise.planning.draft import Draft
from slicewise.planning.fingerprint import CaseFingerprint, ContrastFacts, Fingerprint
from slicewise.planning.machine import Machine
from slicewise.planning.slice_rules import (
    plan_context_slices,
    plan_normalization,
    plan_plane,
    plan_slice_exclusive,
    plan_window,
)
from slicewise.planning.slice_views import views_of
from slicewise.planning.spacing_rules import plan_spacing

Make = Callable[..., CaseFingerprint]
Join = Callable[..., Fingerprint]
CPU, GPU = Machine("2 CPU threads", has_gpu=False), Machine("a GPU", has_gpu=True)
CINE = {"shape": (250, 210, 10), "spacing_mm": (1.5, 1.5, 10.0), "extent_mm": (96.0, 120.0, 90.0)}


def planned(fingerprint: Fingerprint, machine: Machine = CPU, **overrides: Any) -> Draft:
    draft = Draft({f"preprocessing.{key}": value for key, value in overrides.items()})
    plan_plane(draft, fingerprint)
    plan_spacing(draft, fingerprint, machine)
    plan_normalization(draft, fingerprint)
    plan_context_slices(draft, fingerprint)
    plan_window(draft, fingerprint, machine)
    return draft


def test_isotropic_scans_are_seen_in_all_planes(case: Make, data_set: Join) -> None:
    draft = planned(data_set(case("a"), case("b")))
    assert draft["preprocessing.plane"] == "all"
    assert draft["preprocessing.spacing_mm"] is None
    assert draft["network.context_slices"] == 1
    # 1.5 x 30 voxels of the longest extent are 45.
    assert draft["network.window"] == [48, 48]


def test_thick_slices_are_seen_in_their_own_plane(case: Make, data_set: Join) -> None:
    draft = planned(data_set(case("a", **CINE), case("b", **CINE)))
    assert draft["preprocessing.plane"] == "thickest"
    assert draft["preprocessing.spacing_mm"] is None
    assert draft["network.context_slices"] == 0
    # 96 mm are 64 pixels, 120 mm are 80; half as much again.
    assert draft["network.window"] == [96, 120]


def test_reasons_hold_the_measured_figures(case: Make, data_set: Join) -> None:
    reasons = {key: choice.reason for key, choice in planned(data_set(case("a", **CINE)))}
    assert "6.67 times" in reasons["preprocessing.plane"]
    assert "6.67 pixels apart" in reasons["network.context_slices"]
    assert "64 x 80 pixels" in reasons["network.window"]


@pytest.mark.parametrize(
    ("change", "plane"),
    [
        ({"shape": (40, 60, 15)}, "thickest"),
        ({"shape": (40, 60, 1)}, "thickest"),
        ({"spacing_mm": (1.0, 1.0, 1.6)}, "thickest"),
        ({"spacing_mm": (1.0, 1.0, 1.4)}, "all"),
    ],
)
def test_when_all_planes_are_too_many(
    case: Make, data_set: Join, change: dict[str, Any], plane: str
) -> None:
    draft = planned(data_set(*(case(name, **change) for name in "abc")))
    assert draft["preprocessing.plane"] == plane


def test_one_odd_scan_of_many_does_not_choose_the_plane(case: Make, data_set: Join) -> None:
    cases = [case(f"c{number}") for number in range(30)]
    assert (
        planned(data_set(*cases, case("thin", shape=(40, 60, 8))))["preprocessing.plane"] == "all"
    )
    single = data_set(*cases, case("one", shape=(40, 60, 1)))
    assert planned(single)["preprocessing.plane"] == "thickest"
    stacks = [case(f"s{number}", spacing_mm=(1.0, 1.0, 4.0)) for number in range(3)]
    assert planned(data_set(*cases, *stacks))["preprocessing.plane"] == "thickest"


def test_spacings_that_differ_come_to_their_median_in_the_plane(case: Make, data_set: Join) -> None:
    thick = [case(str(mm), spacing_mm=(mm, mm, 8.0)) for mm in (1.2, 1.5, 1.9)]
    assert planned(data_set(*thick))["preprocessing.spacing_mm"] == [1.5, 1.5]
    # The slices of this one are coronal: left to right, then up.
    thick = [case(str(mm), spacing_mm=(mm, 8.0, 2 * mm)) for mm in (1.2, 1.5, 1.9)]
    assert planned(data_set(*thick))["preprocessing.spacing_mm"] == [1.5, 3.0]
    even = [case(str(mm), spacing_mm=(mm, mm, mm)) for mm in (0.8, 1.0, 1.1)]
    assert planned(data_set(*even))["preprocessing.spacing_mm"] == [1.0, 1.0, 1.0]


def test_one_spacing_for_all_views(case: Make, data_set: Join) -> None:
    draft = planned(data_set(case("a", spacing_mm=(1.0, 1.0, 1.3))))
    # A pixel means the same in each view.
    assert draft["preprocessing.spacing_mm"] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("zero", "dark", "lowest", "foreground"),
    [
        (0.6, 0.7, 0.0, "nonzero"),
        (0.001, 0.05, 0.0, "all"),
        (0.001, 0.6, 0.0, "otsu"),
        # Where values lie below 0 as well, 0 is no outside.
        (0.1, 0.6, -1000.0, "otsu"),
    ],
)
def test_normalization(
    case: Make, data_set: Join, zero: float, dark: float, lowest: float, foreground: str
) -> None:
    plain = case("a").contrasts["T1"]
    intensities = replace(plain.intensities, lowest=lowest, low=lowest)
    facts = ContrastFacts(intensities, zero, dark, 200)
    draft = planned(data_set(case("a", contrasts={"T1": facts})))
    assert draft["preprocessing.foreground"] == foreground


def test_window_is_no_larger_than_slices_and_machine(case: Make, data_set: Join) -> None:
    small = case("a", shape=(20, 30, 40), extent_mm=(18.0, 28.0, 36.0))
    assert planned(data_set(small), plane="axial")["network.window"] == [24, 32]
    # Thin structures forbid coarser pixels.
    large = case("a", shape=(400, 500, 400), extent_mm=(300.0, 300.0, 300.0))
    assert planned(data_set(large))["network.window"] == [192, 192]
    assert planned(data_set(large), GPU)["network.window"] == [256, 256]


def test_a_window_holds_no_padding_around_most_slices(case: Make, data_set: Join) -> None:
    # As the hippocampus: structures of 42 pixels, in slices of 36 x 50, 35 x 50 and 35 x 36.
    crops = [case(name, shape=(35, 50, 36), extent_mm=(30.0, 42.0, 30.0)) for name in "abc"]
    assert planned(data_set(*crops))["network.window"] == [40, 40]


def test_tiny_structures_keep_their_surroundings(case: Make, data_set: Join) -> None:
    tiny = case("a", shape=(200, 200, 200), extent_mm=(3.0, 4.0, 5.0))
    assert planned(data_set(tiny))["network.window"] == [32, 32]


def test_a_giant_does_not_widen_the_window(case: Make, data_set: Join) -> None:
    cases = [case(f"c{number}") for number in range(40)]
    giant = case("giant", shape=(400, 600, 500), extent_mm=(240.0, 300.0, 180.0))
    assert planned(data_set(*cases, giant))["network.window"] == [48, 48]


def test_what_is_given_stays_and_the_rest_follows(case: Make, data_set: Join) -> None:
    draft = planned(data_set(case("a", **CINE)), plane="sagittal", spacing_mm=[3.0, 10.0])
    choices = dict(draft)
    assert choices["preprocessing.plane"].is_overridden
    assert draft["preprocessing.spacing_mm"] == [3.0, 10.0]
    # 210 pixels of 1.5 mm are 105 of 3 mm, and 10 slices of 10 mm stay 10.
    sagittal = PreprocessingSection(plane="sagittal", spacing_mm=(3.0, 10.0))
    (view,) = views_of([case("a", **CINE)], sagittal)
    assert (view.count, view.size) == (250, (105, 10))
    assert view.extent == (40.0, 9.0)
    assert draft["network.window"] == [64, 16]


@pytest.mark.parametrize(("spacing_mm", "plane"), [([1.5, 1.5], "thickest"), ([1, 1, 2], "all")])
def test_the_plane_follows_a_given_spacing(
    case: Make, data_set: Join, spacing_mm: list[float], plane: str
) -> None:
    draft = planned(data_set(case("a"), case("b")), spacing_mm=spacing_mm)
    assert draft["preprocessing.plane"] == plane
    assert draft["preprocessing.spacing_mm"] == spacing_mm
    assert f"{len(spacing_mm)} axes" in dict(draft)["preprocessing.plane"].reason


def test_views_and_their_windows(case: Make) -> None:
    views = views_of([case("a")], PreprocessingSection(plane="all"))
    assert [(view.count, view.size) for view in views] == [
        (40, (60, 50)),
        (60, (40, 50)),
        (50, (40, 60)),
    ]
    # Steps of 24: 60 pixels need windows at 0 and 12, 50 at 0 and 2, 40 one.
    assert [view.windows((48, 48), 0.5) for view in views] == [40 * 4, 60 * 2, 50 * 2]


def slice_exclusive(fingerprint: Fingerprint, **overrides: Any) -> Draft:
    draft = Draft(overrides)
    plan_slice_exclusive(draft, fingerprint)
    return draft


def sharing(case: Make, *shared: tuple[int, int, int]) -> list[CaseFingerprint]:
    return [
        case(f"{number:02d}", shared_slices={(1, 2): slices})
        for number, slices in enumerate(shared)
    ]


def test_what_a_protocol_divides_is_divided(case: Make, data_set: Join) -> None:
    cases = sharing(case, *[(12, 0, 7)] * 9, (11, 2, 7), (12, 1, 6))
    draft = slice_exclusive(data_set(*cases, case("without one of them")))
    division = {"plane": "coronal", "structures": ["big", "small"]}
    assert draft["inference.slice_exclusive"] == [division]
    reason = dict(draft)["inference.slice_exclusive"].reason
    assert (
        reason
        == "big and small touch in 11 cases, but share only 0.27 coronal slices a case (mean)"
    )
    swapped = data_set(*cases, labels={"small": 2, "big": 1})
    division = {"plane": "coronal", "structures": ["small", "big"]}
    assert slice_exclusive(swapped)["inference.slice_exclusive"] == [division]


@pytest.mark.parametrize(
    "shared",
    [
        [(12, 0, 7)] * 9,  # too few labels to tell
        [(12, 0, 7)] * 9 + [(12, 3, 7)] * 2,  # sometimes side by side
        [(0, 0, 7)] * 11,  # along an edge
        [(0, 0, 0)] * 11,
    ],
    ids=["few", "undivided", "edge", "corner"],
)
def test_what_is_not_divided_is_left_alone(
    case: Make, data_set: Join, shared: list[tuple[int, int, int]]
) -> None:
    assert slice_exclusive(data_set(*sharing(case, *shared)))["inference.slice_exclusive"] == []


def test_given_divisions_stay(case: Make, data_set: Join) -> None:
    cases = sharing(case, *[(12, 0, 7)] * 11)
    overrides = {"inference.slice_exclusive": []}
    assert slice_exclusive(data_set(*cases), **overrides)["inference.slice_exclusive"] == []
