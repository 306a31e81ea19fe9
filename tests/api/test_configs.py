"""Configurations as callers give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicewise.api.configs import as_config, file_of
from slicewise.config import Config
from slicewise.errors import ConfigErrors


def test_settings_change_a_configuration_and_leave_unset_keys_unset() -> None:
    config = Config.defaults("mine", labels={"core": 1})
    found = as_config(config, ["training.steps=8"])
    assert (found.training.steps, found.training.budget_minutes) == (8, None)
    # A description in the data set may still name the contrasts.
    assert found.data.model_fields_set == {"labels"}
    assert as_config(config) is config
    assert file_of(config) is None


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ndata: {labels: {core: 1}}\ntraining: {steps: 1}\n")
    assert as_config(path, ["training.steps=8"]).training.steps == 8
    assert file_of(str(path)) == path
    with pytest.raises(ConfigErrors, match="stepz"):
        as_config(path, ["training.stepz=8"])
