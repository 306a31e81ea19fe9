"""A store that is made once, a toy configuration, and a predictor that needs no training."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import torch
from mlflow.exceptions import MlflowException

from slicewise.config import Config, InferenceSection, as_yaml, parse_config
from slicewise.imaging.volume import Volume
from slicewise.segmentation.checkpoint import Checkpoint, save_checkpoint
from slicewise.segmentation.confidence import structure_confidences
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.member import Member
from slicewise.segmentation.prediction import Prediction
from slicewise.segmentation.probability_maps import ProbabilityMaps
from slicewise.tracking import Store, open_store
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.runs import TrackedRun
from slicewise.tracking.spool import uploader
from slicewise.tracking.spool.run_ids import known_id
from slicewise.tracking.spool.syncing import sync_spools

TOY = """
name: toy
data:
  root: /somewhere/private/toy_set
  labels: {left part (a): 1}
training: {epochs: 1}
"""


class ThresholdPredictor:
    """Stands in for the trained one: everything brighter than 500 is the structure."""

    def __init__(self, *checkpoints: Path) -> None:
        self.checkpoints = checkpoints
        self.config = parse_config(TOY, "toy.yaml")
        self.members: tuple[Member, ...] = ()

    def with_inference(self, inference: InferenceSection) -> Self:
        self.config = self.config.model_copy(update={"inference": inference})
        return self

    def predict(self, *contrasts: Volume) -> Prediction:
        brightest = np.max([volume.voxels for volume in contrasts], axis=0)
        mask = brightest > 500
        sure = np.where(mask, np.float32(0.9), np.float32(0.1))
        found = contrasts[0].with_voxels(mask.astype("uint8"))
        probabilities = ProbabilityMaps.of(contrasts[0], np.stack([1 - sure, sure]))
        confidences = structure_confidences(found, probabilities, self.config)
        return Prediction.of(found, probabilities, confidences)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for all tests: making its tables takes seconds. Its path has a space."""
    return open_store(tmp_path_factory.mktemp("work folder"))


@pytest.fixture
def config() -> Config:
    return parse_config(TOY, "toy.yaml")


@pytest.fixture
def checkpoint(tmp_path: Path, config: Config) -> Path:
    """A checkpoint of a training that could go on."""
    path = tmp_path / "best.pt"
    weights = {"weight": torch.arange(6.0)}
    save_checkpoint(Checkpoint(as_yaml(config), weights, {"step": 3}, {"train": ["a"]}), path)
    return path


@pytest.fixture
def files(checkpoint: Path) -> ModelFiles:
    """A model of one network."""
    return ModelFiles((checkpoint,))


@pytest.fixture
def threshold_predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let models predict by a threshold."""
    monkeypatch.setattr(Predictor, "from_checkpoint", ThresholdPredictor)


class Client:
    """MLflow's client, which may be down, slow, or die after a number of calls."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.is_down = False
        self.pause_seconds = 0.0
        self.calls_left: float = float("inf")

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)

        def call(*arguments: Any, **more: Any) -> Any:
            time.sleep(self.pause_seconds)
            self.calls_left -= 1
            if self.is_down or self.calls_left < 0:
                raise MlflowException("the server is down")
            return found(*arguments, **more)

        return call


@pytest.fixture
def client(store: Store) -> Client:
    return Client(store.client)


@pytest.fixture
def flaky(store: Store, client: Client) -> Store:
    """The store, whose client may fail."""
    return replace(store, client=client)  # type: ignore[arg-type]


@pytest.fixture
def quick_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader, "_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(uploader, "_LONGEST_PAUSE_SECONDS", 0.05)


def steps(store: Store, run: TrackedRun | str) -> list[int]:
    """Steps of the loss that the store has."""
    run_id = run if isinstance(run, str) else run.run_id
    return [p.step for p in store.client.get_metric_history(known_id(store, run_id), "loss")]


def synced(store: Store) -> dict[str, str]:
    """Deliver what waits; spool to what kept it from the store."""
    return {one.spool_id: one.delivered.problem for one in sync_spools(store)}
