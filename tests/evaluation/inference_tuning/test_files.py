"""Evidence and choices come back as they were written; damage is named with its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slicewise.config import Config, InferenceSection, PostprocessingSection, SliceExclusiveSection
from slicewise.errors import ConfigErrors, DataError
from slicewise.evaluation.inference_tuning.evidence import (
    EVIDENCE,
    CaseEvidence,
    read_evidence,
    write_evidence,
)
from slicewise.evaluation.inference_tuning.inference_file import read_inference, write_inference
from slicewise.evaluation.inference_tuning.options import (
    is_configured,
    mirror_axes,
    mirror_name,
    mirror_options,
)

MakeCase = Callable[..., CaseEvidence]


@pytest.fixture
def config() -> Config:
    return Config.model_validate(
        {
            "name": "toy",
            "data": {"labels": {"core": 1, "rim": 2}},
            "training": {"steps": 1},
            "inference": {"overlap": 0.25},
        }
    )


def test_evidence_comes_back(make_case: MakeCase, tmp_path: Path) -> None:
    cases = [
        make_case(0, None, nll=None, mirrored={"up-down": {"core": None}}),
        make_case(1, 0.123456, changed={"fill holes": 0.5}),
    ]
    write_evidence(tmp_path, cases)
    assert read_evidence(tmp_path, ["core"]) == cases


def test_no_evidence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_evidence(tmp_path, ["core"])


def spoilt(case: dict[str, Any], fault: str) -> str:
    core = case["structures"]["core"]
    if fault == "cut":
        return json.dumps(case)[:200]
    if fault == "temperatures":
        core["plain"]["estimated_dice"].pop()
    elif fault == "option":
        core["changed"]["magic"] = core["plain"]
    elif fault == "structure":
        case["structures"]["other"] = core
    elif fault == "version":
        case["format"] = 99
    else:
        del case["patient"]
    return json.dumps(case)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("cut", "JSON"),
        ("temperatures", "temperatures"),
        ("option", "magic"),
        ("structure", "other"),
        ("version", "format 99"),
        ("missing", "no key patient"),
    ],
)
def test_damaged_evidence(make_case: MakeCase, tmp_path: Path, fault: str, text: str) -> None:
    write_evidence(tmp_path, [make_case(0), make_case(1)])
    first, second = (tmp_path / EVIDENCE).read_text().splitlines()
    (tmp_path / EVIDENCE).write_text(first + "\n" + spoilt(json.loads(second), fault) + "\n")
    with pytest.raises(DataError, match=text) as caught:
        read_evidence(tmp_path, ["core"])
    assert caught.value.where == f"{tmp_path / EVIDENCE}:2"
    assert "`resume`" in caught.value.remedy


def test_evidence_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / EVIDENCE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_evidence(tmp_path, ["core"])


def test_inference_comes_back(config: Config, tmp_path: Path) -> None:
    section = InferenceSection(
        overlap=0.75,
        mirror_axes=("up_down",),
        temperature=1.3,
        postprocessing={"rim": PostprocessingSection(minimum_volume_ml=0.3)},
    )
    write_inference(section, tmp_path / "inference.yaml")
    assert read_inference(tmp_path / "inference.yaml", config) == section


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inference:\n  postprocessing: {hub: {fill_holes: true}}\n", "hub"),
        ("inference:\n  batch_size: 8\n  temprature: 2\n", "inference.yaml:3"),
        ("inference:\n  temperature: -1\n", "inference.yaml:2"),
        ("inference: {}\nnetwork: {}\n", "each key once"),
        ("temperature: 2\n", "no section inference"),
        ("", "an empty file"),
        ("inference:\n  mirror_axes: [\n", "valid YAML"),
        ("inference: *x\n", "alias"),
    ],
)
def test_damaged_inference(config: Config, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "inference.yaml"
    path.write_text(text)
    with pytest.raises((ConfigErrors, DataError)) as caught:
        read_inference(path, config)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_inference(config: Config, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_inference(tmp_path / "inference.yaml", config)


def test_options_of_mirroring() -> None:
    assert mirror_options(()) == {}
    assert mirror_options(("up_down",)) == {"up-down": ("up_down",)}
    options = mirror_options(("left_right", "up_down"))
    assert list(options) == ["left-right", "up-down", "left-right, up-down"]
    assert all(mirror_axes(mirror_name(axes)) == axes for axes in options.values())
    assert mirror_axes("") == ()


def test_what_a_configuration_decides() -> None:
    assert not is_configured(InferenceSection(overlap=0.9, batch_size=3))
    division = SliceExclusiveSection(plane="axial", structures=("front", "back"))
    assert not is_configured(InferenceSection(slice_exclusive=(division,)))
    assert is_configured(InferenceSection(temperature=1.1))
    assert is_configured(InferenceSection(mirror_axes=("up_down",)))
