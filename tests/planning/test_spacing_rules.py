"""Structures that exceed the largest window, and pictures of several sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slicewise.planning.draft import Choice, Draft
from slicewise.planning.fingerprint import CaseFingerprint, Fingerprint, StructureFacts
from slicewise.planning.machine import Machine
from slicewise.planning.slice_rules import plan_plane, plan_window
from slicewise.planning.spacing_rules import plan_spacing

Make = Callable[..., CaseFingerprint]
Join = Callable[..., Fingerprint]
CPU, GPU = Machine("2 CPU threads", has_gpu=False), Machine("a GPU", has_gpu=True)
LUNG = StructureFacts(90_000, (280.0, 520.0, 1.0), 1)


def planned(fingerprint: Fingerprint, machine: Machine = CPU, **overrides: Any) -> Draft:
    draft = Draft({f"preprocessing.{key}": value for key, value in overrides.items()})
    plan_plane(draft, fingerprint)
    plan_spacing(draft, fingerprint, machine)
    plan_window(draft, fingerprint, machine)
    return draft


def choice(draft: Draft, key: str) -> Choice:
    return dict(draft)[f"preprocessing.{key}"]


@pytest.fixture
def picture(case: Make) -> Make:
    def made(name: str, height: int, width: int, **changes: Any) -> CaseFingerprint:
        facts = {
            "shape": (width, height, 1),
            "structures": {1: LUNG},
            "extent_mm": (0.9 * width, 0.9 * height, 1.0),
            "spacing_is_known": False,
        }
        return case(name, **(facts | changes))

    return made


def one_structure(data_set: Join, *cases: CaseFingerprint) -> Fingerprint:
    return data_set(*cases, labels={"lung": 1})


def test_pictures_become_as_large_as_a_window(picture: Make, data_set: Join) -> None:
    pictures = [picture("a", 400, 400), picture("b", 768, 600), picture("c", 768, 700)]
    draft = planned(one_structure(data_set, *pictures))
    assert draft["preprocessing.longest_side"] == 192
    assert draft["preprocessing.spacing_mm"] is None
    assert draft["network.window"] == [176, 192]
    reason = choice(draft, "longest_side").reason
    assert "one size for pictures of 400 to 768 pixels on the longer side" in reason
    assert "at most 192 on this machine" in reason
    on_gpu = planned(one_structure(data_set, *pictures), GPU)
    assert on_gpu["preprocessing.longest_side"] == 256


def test_small_structures_in_pictures_of_several_sizes(picture: Make, data_set: Join) -> None:
    small = {"extent_mm": (50.0, 60.0, 1.0), "structures": {1: StructureFacts(900, (50, 60, 1), 1)}}
    pictures = [picture(str(size), size, size // 2, **small) for size in (400, 500, 600)]
    draft = planned(one_structure(data_set, *pictures))
    assert draft["preprocessing.longest_side"] == 500
    assert "window" not in choice(draft, "longest_side").reason


def test_pictures_of_one_size_whose_structures_fit_stay_as_they_are(
    picture: Make, data_set: Join
) -> None:
    draft = planned(one_structure(data_set, picture("a", 180, 180), picture("b", 190, 190)))
    assert draft["preprocessing.longest_side"] is None
    assert choice(draft, "longest_side").reason == ""


def test_pictures_of_one_size_that_exceed_a_window(picture: Make, data_set: Join) -> None:
    draft = planned(one_structure(data_set, picture("a", 512, 512), picture("b", 512, 512)))
    assert draft["preprocessing.longest_side"] == 192


def test_thin_structures_keep_their_pixels(picture: Make, data_set: Join) -> None:
    # 2,500 pixels over a length of 250 are 10 thick.
    thin = {"structures": {1: LUNG, 2: StructureFacts(2500, (30.0, 250.0, 1.0), 1)}}
    draft = planned(data_set(picture("a", 768, 768, **thin)))
    assert draft["preprocessing.longest_side"] == 307
    assert "small is only 10.0 pixels thick" in choice(draft, "longest_side").reason
    assert draft["network.window"] == [192, 192]


def test_scans_get_a_coarser_spacing(case: Make, data_set: Join) -> None:
    body = StructureFacts(2_000_000, (300.0, 200.0, 100.0), 1)
    facts = {
        "shape": (480, 400, 12), "spacing_mm": (1.0, 1.0, 8.0), "extent_mm": (300.0, 200.0, 96.0),
        "structures": {1: body},
    }  # fmt: skip
    draft = planned(one_structure(data_set, case("a", **facts), case("b", **facts)))
    # 450 pixels with the surroundings, of which a window has 192.
    assert draft["preprocessing.spacing_mm"] == [2.35, 2.35]
    reason = choice(draft, "spacing_mm").reason
    assert reason.startswith("coarser than scanned (1 mm): structures extend over 300 pixels")
    assert max(draft["network.window"]) == 192


@pytest.mark.parametrize("given", [{"spacing_mm": [1.0, 1.0]}, {"longest_side": 300}])
def test_what_is_set_stays(case: Make, data_set: Join, given: dict[str, Any]) -> None:
    facts = {"shape": (480, 400, 12), "spacing_mm": (1.0, 1.0, 8.0), "extent_mm": (300, 200, 96)}
    draft = planned(data_set(case("a", **facts)), **given)
    for key in ("spacing_mm", "longest_side"):
        assert draft[f"preprocessing.{key}"] == given.get(key)


def test_a_longest_side_is_of_one_plane(case: Make, data_set: Join) -> None:
    draft = planned(data_set(case("a"), case("b")), longest_side=64)
    assert draft["preprocessing.plane"] == "thickest"
