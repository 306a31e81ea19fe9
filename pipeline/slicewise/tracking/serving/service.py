"""The web service of a model: HTTP requests in, predictions of child processes out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from slicewise.config import as_yaml, without_places
from slicewise.imaging.files import private_folder
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.processes import is_running, own_start
from slicewise.tracking.registry import input_example, save_servable
from slicewise.tracking.request_scans import ScanLimits
from slicewise.tracking.serving import scoring
from slicewise.tracking.serving.host_guard import HostGuard
from slicewise.tracking.serving.prediction_pool import PredictionPool
from slicewise.tracking.serving.request_limits import Limits, RequestLimiter, Scoring
from slicewise.tracking.store import prepare_mlflow

DESCRIPTION = "/description"
"""Path that answers with the configuration of the model as YAML."""
_HEALTH = ("/ping", "/health")
_MODEL, _REQUESTS = "model", "requests"


class ChildScoring:
    """Answers requests in child processes that keep the model loaded.

    Args:
        folder: into which ``save_model`` writes the model before they start.
        limits: of each request.
        scan_limits: of the scans of a request.
    """

    def __init__(self, folder: Path, limits: Limits, scan_limits: ScanLimits) -> None:
        gigabytes = limits.max_memory_gigabytes
        memory_bytes = None if gigabytes is None else int(gigabytes * 1e9)
        self._model = folder / _MODEL
        self._pool = PredictionPool(
            limits.at_once,
            scoring.prepare,
            (self._model, scan_limits, memory_bytes),
            preload=scoring.PRELOADED,
        )

    def start(self) -> None:
        """Start the processes, and wait until one of them has loaded the model."""
        self._pool.start()

    async def answer(self, body: Path) -> bytes:
        """See ``Scoring``."""
        return await self._pool.run(scoring.answer, self._model, body)

    def close(self) -> None:
        """End the processes."""
        self._pool.close()


def save_model(files: ModelFiles, folder: Path) -> str:
    """Write a model where child processes load it; returns its description as YAML.

    Raises:
        ModelError, CheckpointError: the model is damaged.
    """
    prepare_mlflow()
    config = files.load().config
    save_servable(folder / _MODEL, files, "", input_example(config.data.contrasts))
    return as_yaml(without_places(config))


def build_application(
    scoring: Scoring, limits: Limits, folder: Path, description: str
) -> HostGuard:
    """The ASGI application that serves a model.

    Args:
        scoring: answers requests.
        limits: of each request.
        folder: private; takes the bodies of requests until they are answered.
        description: of the model, as YAML.
    """
    from mlflow.version import VERSION

    texts = dict.fromkeys(_HEALTH, "\n") | {"/version": VERSION, DESCRIPTION: description}
    limiter = RequestLimiter(scoring, limits, private_folder(folder / _REQUESTS), texts)
    return HostGuard(limiter, limits.hosts)


def service_folder(work: Path) -> Path:
    """A private folder for a service of this process; those of killed processes are removed.

    Raises:
        OutputError: it cannot be written.
    """
    folder = private_folder(work / "serving")
    for left in folder.iterdir():
        process_id, _, started = left.name.partition("-")
        if not is_running(int(process_id), float(started)):
            shutil.rmtree(left, ignore_errors=True)
    return private_folder(folder / f"{os.getpid()}-{own_start():.0f}")
