"""One training in, one MLflow run out: configuration, cases, metrics, files and how it ended."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from pipeline.config import Config, flatten, without_places
from pipeline.errors import InterruptedBySignal, ModelError
from pipeline.tracking.provenance import provenance_tags
from pipeline.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

CHECKPOINT_FOLDER = "checkpoint"
_ENDED_BY = "slicewise.ended_by"
_SKIPPED = "slicewise.skipped_values"

CaseUse = Literal["training", "validation"]

# Limits of MLflow's stores.
_LONGEST_VALUE = 6000
_PARAMETERS_AT_ONCE = 100
_DIGEST_LENGTH = 36


def start_run(
    store: Store,
    config: Config,
    run_name: str,
    *,
    fold: int | None = None,
    tags: Mapping[str, str] | None = None,
    parent: TrackedRun | None = None,
) -> TrackedRun:
    """Begin a run with its configuration and code version; use it as a context manager.

    Args:
        store: where the run is kept.
        config: what is logged, flattened; folders of this machine are left out.
        run_name: how lists call the run.
        fold: fold that is trained; none for a run over all folds.
        tags: further facts.
        parent: the run over all folds that this one belongs to.
    """
    own = {
        **provenance_tags(),
        "slicewise.config": config.name,
        **({} if fold is None else {"slicewise.fold": str(fold)}),
        **({} if parent is None else {"mlflow.parentRunId": parent.run_id}),
        **(tags or {}),
    }
    experiment = store.experiment(config.tracking.experiment)
    created = store.client.create_run(experiment, run_name=run_name, tags=own)
    run = TrackedRun(store, created.info.run_id, experiment)
    run.log_config(config)
    return run


def continue_run(store: Store, run_id: str) -> TrackedRun:
    """Open a run again, for a training that goes on.

    Raises:
        ModelError: the store does not know the run.
    """
    from mlflow.exceptions import MlflowException

    try:
        found = store.client.get_run(run_id)
    except MlflowException as error:
        raise ModelError(
            run_id,
            expected=f"a run in {store.uri}",
            found="none of that id",
            remedy="give the --work folder that the training began with",
        ) from error
    store.client.update_run(run_id, status="RUNNING")
    if _ENDED_BY in found.data.tags:
        store.client.delete_tag(run_id, _ENDED_BY)
    run = TrackedRun(store, run_id, found.info.experiment_id)
    run.skipped_values = int(found.data.tags.get(_SKIPPED, 0))
    # Another process, perhaps on another host and with newer code.
    for key, value in provenance_tags().items():
        run.set_tag(key, value)
    return run


class TrackedRun:
    """A run that is open; leaving the context writes how it ended.

    Attributes:
        store: where the run is kept.
        run_id: MLflow's identifier, 32 hexadecimal digits.
        experiment_id: the experiment that holds it.
        skipped_values: metrics that were not finite and therefore not logged.
    """

    def __init__(self, store: Store, run_id: str, experiment_id: str) -> None:
        self.store = store
        self.run_id = run_id
        self.experiment_id = experiment_id
        self.skipped_values = 0
        self._monitor: SystemMetricsMonitor | None = None

    def __enter__(self) -> Self:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._monitor = SystemMetricsMonitor(
            self.run_id, resume_logging=True, tracking_uri=self.store.uri
        )
        self._monitor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._monitor is not None:
            self._monitor.finish()
        if error is not None:
            self.set_tag(_ENDED_BY, kind.__name__ if kind else "")
        if self.skipped_values:
            self.set_tag(_SKIPPED, str(self.skipped_values))
        self.store.client.set_terminated(self.run_id, status=_status(error))

    def set_tag(self, key: str, value: str) -> None:
        """A fact about the run."""
        self.store.client.set_tag(self.run_id, key, value)

    def log_config(self, config: Config) -> None:
        """Every key of the configuration as a parameter."""
        from mlflow.entities import Param

        parameters = [
            Param(_name(key), _value(text)) for key, text in flatten(without_places(config)).items()
        ]
        for start in range(0, len(parameters), _PARAMETERS_AT_ONCE):
            self.store.client.log_batch(
                self.run_id, params=parameters[start : start + _PARAMETERS_AT_ONCE]
            )

    def log_cases(
        self,
        context: CaseUse,
        cases: Mapping[str, str],
        data_set: str,
    ) -> str:
        """The case list of a fold as a data-set input; no image leaves its place.

        Args:
            context: what the cases are used for.
            cases: case name, free of identities, to the checksum of its files.
            data_set: how lists call the data set.

        Returns:
            The hash of the list: the same for the same cases with the same content.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        rows = sorted(cases.items())
        digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
        file = f"cases/{context}.json"
        self.store.client.log_dict(self.run_id, {"sha256": digest, "cases": dict(rows)}, file)
        data = Dataset(
            name=f"{data_set} {context}",
            digest=digest[:_DIGEST_LENGTH],
            source_type="code",
            source=json.dumps({"tags": {"cases": file, "sha256": digest}}),
            schema=json.dumps({"mlflow_colspec": _CASE_COLUMNS}),
            profile=json.dumps({"cases": len(rows), "names": [name for name, _ in rows]}),
        )
        self.store.client.log_inputs(
            self.run_id, datasets=[DatasetInput(data, [InputTag("mlflow.data.context", context)])]
        )
        return digest

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Values at one step; those that are not finite are counted instead of logged."""
        from mlflow.entities import Metric

        finite = {key: float(value) for key, value in values.items() if math.isfinite(value)}
        self.skipped_values += len(values) - len(finite)
        now = int(time.time() * 1000)
        metrics = [Metric(_name(key), value, now, step) for key, value in finite.items()]
        if metrics:
            self.store.client.log_batch(self.run_id, metrics=metrics)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """A file, below ``folder`` of the run."""
        self.store.client.log_artifact(self.run_id, str(path), folder)

    def log_figure(self, path: Path) -> None:
        """A picture file."""
        self.log_artifact(path, "figures")

    def log_checkpoint(self, path: Path) -> None:
        """The checkpoint that ``resolve_model`` finds by the identifier of the run."""
        self.log_artifact(path, CHECKPOINT_FOLDER)


_CASE_COLUMNS = [
    {"type": "string", "name": "case", "required": True},
    {"type": "string", "name": "sha256", "required": True},
]


def _status(error: BaseException | None) -> str:
    if error is None:
        return "FINISHED"
    if isinstance(error, KeyboardInterrupt | InterruptedBySignal):
        return "KILLED"
    return "FAILED"


def _name(key: str) -> str:
    """A key with the characters that MLflow allows; structures may be named with any."""
    return re.sub(r"[^\w\-./ ]", "_", key)


def _value(text: str) -> str:
    # A server is read by others: folders of this machine may name patients.
    shown = Path(text).name if Path(text).is_absolute() else text
    return shown[:_LONGEST_VALUE]
