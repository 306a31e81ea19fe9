"""Odd data sets are planned: what comes out is a configuration that can be read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from slicewise.config import Config, parse_config
from slicewise.planning.fingerprint import CaseFingerprint, Fingerprint, StructureFacts
from slicewise.planning.machine import Machine
from slicewise.planning.rules import draft_plan

Make = Callable[..., CaseFingerprint]
Join = Callable[..., Fingerprint]
MACHINE = Machine("2 CPU threads", has_gpu=False)
BLOCK = StructureFacts(900, (12.0, 10.0, 9.0), 1)


def planned(fingerprint: Fingerprint) -> Config:
    draft = draft_plan("trial", fingerprint, MACHINE, {}, 30)
    return parse_config(yaml.safe_dump(draft.values(), sort_keys=False), "plan")


def cases(case: Make, count: int = 5, **changes: Any) -> list[CaseFingerprint]:
    return [case(f"c{number}", **changes) for number in range(count)]


def test_single_slices(case: Make, data_set: Join) -> None:
    config = planned(data_set(*cases(case, shape=(64, 56, 1), spacing_mm=(1.0, 1.0, 5.0))))
    assert config.preprocessing.plane == "thickest"
    assert config.network.context_slices == 0


def test_two_patients(case: Make, data_set: Join) -> None:
    assert planned(data_set(*cases(case, 2))).data.fold_count == 2


def test_every_case_of_another_size_and_spacing(case: Make, data_set: Join) -> None:
    odd = [
        case(str(mm), shape=(20 * mm, 90 // mm, 30 + mm), spacing_mm=(0.5 * mm, 1.0, 2.5 / mm))
        for mm in (1, 2, 3, 4)
    ]
    config = planned(data_set(*odd))
    assert config.preprocessing.spacing_mm is not None


def test_structures_that_touch_all_borders(case: Make, data_set: Join) -> None:
    config = planned(data_set(*cases(case, extent_mm=(40.0, 60.0, 50.0))))
    assert max(config.network.window) <= 64


def test_a_structure_of_one_case_only(case: Make, data_set: Join) -> None:
    most = cases(case, structures={1: BLOCK})
    assert planned(data_set(*most, case("other"))).data.labels == {"big": 1, "small": 2}


def test_sixty_structures(case: Make, data_set: Join) -> None:
    labels = {f"label_{value}": value for value in range(1, 61)}
    many = cases(case, structures=dict.fromkeys(labels.values(), BLOCK))
    assert planned(data_set(*many, labels=labels)).out_channels == 61


def test_radiographs_of_4000_pixels(case: Make, data_set: Join) -> None:
    lung = StructureFacts(1_900_000, (1100.0, 2100.0, 1.0), 1)
    pictures = [
        case(str(size), shape=(size - 300, size, 1), extent_mm=(2800.0, 2400.0, 1.0),
             structures={1: lung}, spacing_is_known=False)
        for size in (3200, 3600, 4000)
    ]  # fmt: skip
    config = planned(data_set(*pictures, labels={"lung": 1}))
    assert config.preprocessing.longest_side is not None
    assert config.preprocessing.longest_side <= 256
    assert max(config.network.window) <= 192


def test_cases_without_any_structure_among_others(case: Make, data_set: Join) -> None:
    blank = cases(case, structures={}, extent_mm=(0.0, 0.0, 0.0))
    assert planned(data_set(case("only"), *blank)).network.window == (48, 48)


def test_tiny_scans(case: Make, data_set: Join) -> None:
    tiny = cases(case, shape=(5, 4, 3), extent_mm=(2.0, 2.0, 1.0))
    assert planned(data_set(*tiny)).network.window == (8, 8)


@pytest.mark.parametrize("shape", [(300, 8, 40), (8, 300, 40)])
def test_strips(case: Make, data_set: Join, shape: tuple[int, int, int]) -> None:
    planned(data_set(*cases(case, shape=shape, extent_mm=tuple(0.5 * side for side in shape))))
