"""A small trained model, made and tracked from Python."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def _quick(preloaded_workers: None, copied_tables: None) -> None:
    """Workers and stores that are ready at once."""


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache, runs and store of all tests that share the model."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def model(scans: Path, tiny: Path, work: Path) -> Path:
    """The folder that one training left."""
    from slicewise.config import load_config
    from slicewise.workflows.train import TrainOptions, train

    folder = work / "model"
    if not folder.exists():
        train(TrainOptions(load_config(tiny, [f"data.root={scans}"]), out=folder, work=work))
    return folder
