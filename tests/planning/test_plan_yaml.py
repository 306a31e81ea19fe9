"""A configuration and its reasons in, a commented file that reads back unchanged out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from slicewise.config import Config, load_config, parse_config
from slicewise.planning.plan_yaml import WIDTH, render_plan

TEXT = """
name: trial
data:
  contrasts: [T1, 'no']
  labels: {left ventricle: 1, 'yes': 7, 'Hüfte': 200}
  patient_pattern: '^p(\\d+): "x" #'
structures: {left ventricle: {several_components: true, colour: '#0072B2'}}
preprocessing: {spacing_mm: [1.5, 1.25]}
training: {budget_minutes: 12}
inference: {postprocessing: {'yes': {fill_holes: true}}}
"""
REASONS = {
    "data.labels": "values that occur in 3 labels: " + "a long story, " * 12,
    "preprocessing.spacing_mm": "spacings differ, 1.2 to 1.9 mm",
    "structures": "set by the user",
}


def keys(section: Mapping[str, Any], prefix: str = "") -> set[str]:
    """Every key of the sections; what is below a structure's name is its own affair."""
    return {f"{prefix}{key}" for key in section} | {
        name
        for key, value in section.items()
        if isinstance(value, dict) and not prefix
        for name in keys(value, f"{key}.")
    }


def rendered() -> tuple[Config, str]:
    config = parse_config(TEXT, "trial")
    return config, render_plan(config, REASONS, ["Planned for a trial", "", "  a command"])


def test_it_reads_back_unchanged(tmp_path: Path) -> None:
    config, text = rendered()
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_config(path) == config


def test_it_names_every_key() -> None:
    config, text = rendered()
    assert keys(yaml.safe_load(text)) == keys(config.model_dump())


def test_reasons_stand_above_their_keys() -> None:
    lines = rendered()[1].splitlines()
    place = lines.index("  spacing_mm: [1.5, 1.25]")
    assert lines[place - 1] == "  # planned: spacings differ, 1.2 to 1.9 mm"
    assert lines[lines.index("structures:") - 1] == "# set by the user"
    assert lines[:3] == ["# Planned for a trial", "#", "#   a command"]


def test_other_keys_are_explained() -> None:
    lines = rendered()[1].splitlines()
    (line,) = [line for line in lines if line.lstrip().startswith("batch_size: 32")]
    assert line.endswith("# Slices per step")


def test_lines_are_short() -> None:
    assert max(map(len, rendered()[1].splitlines())) <= WIDTH
