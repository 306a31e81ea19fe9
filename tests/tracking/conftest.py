"""A store in a temporary folder, and a predictor that needs no training."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Self

import numpy as np
import pytest

from pipeline.config import Config, parse_config
from pipeline.imaging.volume import Volume
from pipeline.tracking import Store, open_store

TOY = """
name: toy
data:
  root: /somewhere/private/toy_set
  labels: {left part (a): 1}
training: {epochs: 1}
"""


class ThresholdPredictor:
    """Stands in for the trained one: everything brighter than 500 is the structure."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self.config = parse_config(TOY, str(checkpoint))

    @classmethod
    def from_checkpoint(cls, path: Path) -> Self:
        return cls(path)

    def predict(self, *contrasts: Volume) -> Volume:
        brightest = np.max([volume.voxels for volume in contrasts], axis=0)
        return contrasts[0].with_voxels((brightest > 500).astype("uint8"))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for all tests: making its tables takes seconds. Its path has a space."""
    return open_store(tmp_path_factory.mktemp("work folder"))


@pytest.fixture
def config() -> Config:
    return parse_config(TOY, "toy.yaml")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A file with content enough to be recognised."""
    path = tmp_path / "best.pt"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def threshold_predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the module of the real predictor, whose imports take seconds."""
    module = ModuleType("pipeline.segmentation.inference")
    module.Predictor = ThresholdPredictor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
