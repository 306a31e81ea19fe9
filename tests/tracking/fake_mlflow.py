"""A store in memory that answers as MLflow's does, for tests that ask it ten thousand times."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mlflow.entities.logged_model_status import LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST


class Killed(BaseException):
    """Ends a process at one call of the store, as SIGKILL does."""


class FakeMlflow:
    """The part of ``MlflowClient`` that the delivery of runs uses.

    Attributes:
        is_down: every call fails.
        calls_left: the process is killed at the call after these.
    """

    def __init__(self) -> None:
        self.is_down = False
        self.calls_left = float("inf")
        self.runs: dict[str, Any] = {}
        self.points: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        self.artifacts: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.inputs: dict[str, list[Any]] = defaultdict(list)
        self.versions: list[Any] = []
        self.models: dict[str, Any] = {}
        self.aliases: dict[str, dict[str, str]] = {}

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if name.startswith("_") or not callable(found):
            return found

        def call(*arguments: Any, **more: Any) -> Any:
            if self.is_down:
                raise MlflowException("the server is down")
            self.calls_left -= 1
            if self.calls_left < 0:
                raise Killed
            return found(*arguments, **more)

        return call

    def require_writable(self) -> None:
        """Nothing to look at."""

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id=f"experiment {name}")

    def search_experiments(self) -> list[Any]:
        return [SimpleNamespace(experiment_id="experiment slicewise")]

    def create_run(self, experiment: str, start_time: int, run_name: str, tags: Any) -> Any:
        info = SimpleNamespace(
            run_id=uuid.uuid4().hex,
            experiment_id=experiment,
            status="RUNNING",
            run_name=run_name,
            start_time=start_time,
        )
        data = SimpleNamespace(tags=dict(tags), params={}, metrics={})
        outputs = SimpleNamespace(model_outputs=[])
        self.runs[info.run_id] = SimpleNamespace(info=info, data=data, outputs=outputs)
        return self.runs[info.run_id]

    def get_run(self, run_id: str) -> Any:
        if run_id not in self.runs:
            raise MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST)
        return self.runs[run_id]

    def search_runs(self, _: Sequence[str], wanted: str, **__: Any) -> Any:
        class Page(list[Any]):
            token = ""

        if wanted.startswith("attributes.status"):
            return Page(run for run in self.runs.values() if run.info.status == "RUNNING")
        spool_id = wanted.rpartition("= ")[2].strip("'")
        return Page(
            run for run in self.runs.values() if run.data.tags["slicewise.spool"] == spool_id
        )

    def update_run(self, run_id: str, status: str) -> None:
        self.runs[run_id].info.status = status

    def set_terminated(self, run_id: str, status: str, end_time: int | None = None) -> None:
        del end_time
        self.runs[run_id].info.status = status

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self.runs[run_id].data.tags[key] = value

    def delete_tag(self, run_id: str, key: str) -> None:
        del self.runs[run_id].data.tags[key]

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Any] = (),
        params: Sequence[Any] = (),
        tags: Sequence[Any] = (),
    ) -> None:
        run = self.runs[run_id]
        run.data.tags |= {tag.key: tag.value for tag in tags}
        for item in params:
            assert run.data.params.setdefault(item.key, item.value) == item.value
        for metric in metrics:
            run.data.metrics[metric.key] = metric.value
            history = self.points[run_id][metric.key]
            # As the tables do: the very same point is there once.
            if all(dict(metric) != dict(known) for known in history):
                history.append(metric)

    def get_metric_history(self, run_id: str, key: str) -> list[Any]:
        return list(self.points[run_id][key])

    def log_artifact(self, run_id: str, path: str, folder: str | None) -> None:
        self.artifacts[run_id][f"{folder}/{Path(path).name}"] = Path(path).read_bytes()

    def create_registered_model(self, name: str) -> None:
        if name in self.aliases:
            raise MlflowException("exists", error_code=RESOURCE_ALREADY_EXISTS)
        self.aliases[name] = {}

    def get_registered_model(self, name: str) -> Any:
        return SimpleNamespace(aliases=self.aliases[name])

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self.aliases[name][alias] = version

    def search_model_versions(self, wanted: str) -> list[Any]:
        key, value = wanted.split("=")
        return [item for item in self.versions if getattr(item, key) == value.strip("'")]

    def create_model_version(self, name: str, *, run_id: str, tags: Any, **_: Any) -> Any:
        number = 1 + sum(item.name == name for item in self.versions)
        version = SimpleNamespace(name=name, version=str(number), run_id=run_id, tags=tags)
        self.versions.append(version)
        return version

    def create_logged_model(self, _: str, *, name: str, source_run_id: str, tags: Any) -> Any:
        model = SimpleNamespace(
            name=name,
            model_id=uuid.uuid4().hex,
            source_run_id=source_run_id,
            tags=tags,
            status=LoggedModelStatus.PENDING,
            artifact_location="somewhere",
        )
        self.models[model.model_id] = model
        return model

    def search_logged_models(self, _: Sequence[str], wanted: str) -> list[Any]:
        run_id = wanted.rpartition("= ")[2].strip("'")
        return [model for model in self.models.values() if model.source_run_id == run_id]

    def log_model_artifacts(self, model_id: str, folder: str) -> None:
        assert model_id in self.models
        assert Path(folder).is_dir()

    def log_outputs(self, run_id: str, outputs: Sequence[Any]) -> None:
        self.runs[run_id].outputs.model_outputs.extend(outputs)

    def finalize_logged_model(self, model_id: str, status: Any) -> Any:
        self.models[model_id].status = status
        return self.models[model_id]
