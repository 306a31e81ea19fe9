"""What a run logs: configuration, cases, metrics and files, as entries of its spool."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from slicewise.config import Config, flatten, without_places
from slicewise.imaging.files import write_text
from slicewise.tracking.spool.spool import Spool

CHECKPOINT_FOLDER = "checkpoint"

CaseUse = Literal["training", "validation", "test"]

# Limits of MLflow's stores.
_LONGEST_VALUE = 6000
_PARAMETERS_AT_ONCE = 100
_DIGEST_LENGTH = 36


class RunLog:
    """Writes the entries of a run into its spool.

    Attributes:
        skipped_values: number of metrics that were not finite and therefore not logged.
        logging_seconds: time that the caller has spent in the methods of this object.

    Args:
        spool: journal of the run, with its first entry.
    """

    def __init__(self, spool: Spool) -> None:
        self.skipped_values = 0
        self.logging_seconds = 0.0
        self._spool = spool

    def set_tag(self, key: str, value: str) -> None:
        """Set one tag."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        with self._timed():
            self._spool.append("tags", values=dict(tags))

    def log_config(self, config: Config) -> None:
        """Log every key of the configuration as a parameter."""
        flat = flatten(without_places(config))
        parameters = [(_name(key), _value(text)) for key, text in flat.items()]
        with self._timed():
            for start in range(0, len(parameters), _PARAMETERS_AT_ONCE):
                part = dict(parameters[start : start + _PARAMETERS_AT_ONCE])
                self._spool.append("parameters", values=part)

    def log_cases(
        self,
        context: CaseUse,
        cases: Mapping[str, str],
        data_set: str,
    ) -> str:
        """Log the case list of a fold as a data-set input; images are not copied.

        Args:
            context: what the cases are used for.
            cases: name of each case, without identities, to the checksum of its files.
            data_set: name of the data set, shown in lists.

        Returns:
            The sha256 of the list: the same for the same cases with the same content.
        """
        rows = sorted(cases.items())
        digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
        file = f"cases/{context}.json"
        self.log_json({"sha256": digest, "cases": dict(rows)}, file)
        dataset = {
            "name": f"{data_set} {context}",
            "digest": digest[:_DIGEST_LENGTH],
            "source_type": "code",
            "source": json.dumps({"tags": {"cases": file, "sha256": digest}}),
            "schema": json.dumps({"mlflow_colspec": _CASE_COLUMNS}),
            "profile": json.dumps({"cases": len(rows), "names": [name for name, _ in rows]}),
        }
        with self._timed():
            self._spool.append("input", context=context, dataset=dataset)
        return digest

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log values at one step; those that are not finite are counted instead."""
        finite = {_name(key): float(value) for key, value in values.items() if math.isfinite(value)}
        self.skipped_values += len(values) - len(finite)
        if finite:
            with self._timed():
                self._spool.append("metrics", step=step, time=now(), values=finite)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file in its present state, below ``folder`` of the run's artifacts."""
        with self._timed():
            self._spool.append("artifact", file=self._spool.keep(path), folder=folder)

    def log_json(self, content: object, file: str) -> None:
        """Log a JSON file under a name such as ``cases/training.json``."""
        self.log_text(json.dumps(content, indent=2) + "\n", file)

    def log_text(self, text: str, file: str) -> None:
        """Log a text file under a name such as ``notes/summary.md``."""
        place = Path(file)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / place.name
            write_text(path, text)
            self.log_artifact(path, str(place.parent) if len(place.parts) > 1 else None)

    def log_figure(self, path: Path) -> None:
        """Log a picture, below ``figures``."""
        self.log_artifact(path, "figures")

    def log_checkpoint(self, path: Path) -> None:
        """Log the checkpoint that ``resolve_model`` finds by the id of the run."""
        self.log_artifact(path, CHECKPOINT_FOLDER)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.logging_seconds += time.perf_counter() - start


_CASE_COLUMNS = [
    {"type": "string", "name": "case", "required": True},
    {"type": "string", "name": "sha256", "required": True},
]


def now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


def _name(key: str) -> str:
    """A key in the characters that MLflow allows; names of structures may have any."""
    return re.sub(r"[^\w\-./ ]", "_", key)


def _value(text: str) -> str:
    # Other people read a server, and folders of this machine may name patients.
    shown = Path(text).name if Path(text).is_absolute() else text
    return shown[:_LONGEST_VALUE]
