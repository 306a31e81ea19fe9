"""Whatever happens in whatever order: in the end the store has each thing once, in its order.

``SLICEWISE_FUZZ_COUNT=20000`` tries 1,000 orders, as ``make fuzz`` does.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.tracking.conftest import TOY
from tests.tracking.fake_mlflow import FakeMlflow, Killed

from slicewise.config import parse_config
from slicewise.tracking import Store
from slicewise.tracking.runs import TrackedRun, continue_run, start_run
from slicewise.tracking.spool import delivery
from slicewise.tracking.spool.delivery import deliver
from slicewise.tracking.spool.run_ids import known_id
from slicewise.tracking.spool.spool import Spool, spools
from slicewise.tracking.spool.syncing import mark_killed, sync_spools

_EXAMPLES = int(os.environ.get("SLICEWISE_FUZZ_COUNT", "200")) // 20
_NUMBERS = st.integers(0, 1)
_TAGS = {"slicewise.host": "elsewhere"}


@dataclass
class Expected:
    """A run as its process sees it.

    Attributes:
        run: while its process lives.
        run_id: as ``run.json`` has it.
        step: of the training.
        saved: step of the last checkpoint.
        logged: the largest step that was ever logged.
        samples: number of samples of the system that were logged.
        session_samples: of these, by the present process.
        artifacts: files that were logged.
        registered: whether a model was.
        status: how it ended.
    """

    run: TrackedRun | None = None
    run_id: str = ""
    step: int = 0
    saved: int = 0
    logged: int = 0
    samples: int = 0
    session_samples: int = 0
    artifacts: dict[str, bytes] = field(default_factory=dict)
    registered: bool = False
    status: str = ""


class SpoolStates(RuleBasedStateMachine):
    """Two trainings that share a work folder and a store which fails."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="slicewise-spool-"))
        self.client = FakeMlflow()
        self.trainings = [Expected(), Expected()]
        self.config = parse_config(TOY, "toy.yaml")
        self.patches = pytest.MonkeyPatch()
        self.patches.setattr("slicewise.tracking.runs.provenance_tags", lambda: _TAGS)
        clock = itertools.count(1)
        for module in ("runs", "run_log"):
            self.patches.setattr(f"slicewise.tracking.{module}.now", lambda: next(clock))
        self.patches.setattr(Spool, "owner_may_run", lambda spool, _: self._lives(spool))
        self.patches.setattr(delivery, "unpack_model", lambda *_: None)
        self.patches.setattr(
            "slicewise.tracking.registry.save_servable", lambda folder, *_: folder.mkdir()
        )

    @property
    def store(self) -> Store:
        """The store as a process finds it when it starts."""
        problem = "down" if self.client.is_down else ""
        return Store("http://store", self.folder / "mlflow", self.client, problem)  # type: ignore[arg-type]

    def _lives(self, spool: Spool) -> bool:
        live = (training.run for training in self.trainings if training.run is not None)
        return any(run._spool.spool_id == spool.spool_id for run in live)

    @initialize()
    def start(self) -> None:
        for training in self.trainings:
            self.begin(training)

    def begin(self, training: Expected) -> None:
        with self.killing(training):
            training.run = start_run(self.store, self.config, "training")
            training.run_id = training.run.run_id

    @contextmanager
    def killing(self, training: Expected) -> Iterator[None]:
        """A kill at a call of the store leaves nothing of the process."""
        try:
            yield
        except Killed:
            self.die(training)

    def die(self, training: Expected) -> None:
        self.client.calls_left = float("inf")
        if training.run is not None:
            atexit.unregister(training.run._end_at_exit)
        training.run = None

    # --- a training ----------------------------------------------------------------------------

    @rule(number=_NUMBERS, count=st.integers(1, 3))
    def step(self, number: int, count: int) -> None:
        training = self.trainings[number]
        for _ in range(count if training.run is not None else 0):
            assert training.run is not None
            training.step += 1
            training.run.log_metrics(training.step, {"loss": 1 / training.step})
            training.logged = max(training.logged, training.step)

    @rule(number=_NUMBERS)
    def sample(self, number: int) -> None:
        training = self.trainings[number]
        if training.run is not None:
            training.samples += 1
            training.session_samples += 1
            training.run._spool.append(
                "samples",
                step=training.session_samples,
                time=training.samples,
                values={"system/load": 1.0},
            )

    @rule(number=_NUMBERS)
    def save(self, number: int) -> None:
        if self.trainings[number].run is not None:
            self.trainings[number].saved = self.trainings[number].step

    @rule(number=_NUMBERS, name=st.sampled_from("abc"))
    def log_file(self, number: int, name: str) -> None:
        training = self.trainings[number]
        if training.run is not None:
            path = self.folder / name
            path.write_text(f"{number} {training.step}")
            training.run.log_artifact(path, "files")
            training.artifacts[f"files/{name}"] = path.read_bytes()
            path.unlink()

    @rule(number=_NUMBERS)
    def register(self, number: int) -> None:
        training = self.trainings[number]
        if training.run is not None:
            path = self.folder / "weights"
            path.write_text("weights")
            training.registered = True
            training.run._spool.append(
                "model",
                file=training.run._spool.keep(path),
                name="model",
                card="# Card",
                contrasts=["image"],
                tags={},
                content=f"content of {number}",
            )

    @rule(number=_NUMBERS, status=st.sampled_from(["KILLED", "FAILED"]))
    def end(self, number: int, status: str) -> None:
        training = self.trainings[number]
        if training.run is not None:
            training.saved, training.status = training.step, status
            with self.killing(training):
                training.run._end(status, "signal")
            self.die(training)

    @rule(number=_NUMBERS, half=st.sampled_from(["", '{"kind": "me']))
    def kill(self, number: int, half: str) -> None:
        training = self.trainings[number]
        if training.run is not None:
            with (training.run._spool.folder / "entries.jsonl").open("a") as file:
                file.write(half)
            self.die(training)

    @rule(number=_NUMBERS)
    def resume(self, number: int) -> None:
        training = self.trainings[number]
        if training.run is None and training.run_id:
            training.step, training.session_samples = training.saved, 0
            training.status = ""
            with self.killing(training):
                training.run = continue_run(self.store, training.run_id)
                training.run_id = training.run.run_id

    @rule(number=_NUMBERS, count=st.integers(1, 3))
    def lose_steps(self, number: int, count: int) -> None:
        """Steps after a checkpoint, a kill, and the same steps again."""
        self.save(number)
        self.step(number, count)
        self.upload(number, most=9)
        self.kill(number, half="")
        self.resume(number)
        self.step(number, count)

    # --- the store -----------------------------------------------------------------------------

    @rule(down=st.booleans())
    def switch(self, down: bool) -> None:
        self.client.is_down = down

    @rule(number=_NUMBERS, most=st.integers(1, 4))
    def upload(self, number: int, most: int) -> None:
        training = self.trainings[number]
        if training.run is not None:
            delivered = training.run._uploader.delivered
            deliver(training.run._spool, self.store, delivered, most)

    @rule(number=_NUMBERS, calls=st.integers(0, 12))
    def die_in_upload(self, number: int, calls: int) -> None:
        training = self.trainings[number]
        if training.run is not None and not self.client.is_down:
            self.client.calls_left = calls
            with self.killing(training):
                deliver(training.run._spool, self.store, training.run._uploader.delivered)
            self.client.calls_left = float("inf")

    @rule(calls=st.integers(0, 12))
    def die_in_sync(self, calls: int) -> None:
        if not self.client.is_down:
            self.client.calls_left = calls
            with suppress(Killed):
                list(sync_spools(self.store))
            self.client.calls_left = float("inf")

    @rule()
    def sync(self) -> None:
        if not self.client.is_down:
            list(sync_spools(self.store))

    # --- in the end ----------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self.finish()
        finally:
            self.patches.undo()
            shutil.rmtree(self.folder)

    def finish(self) -> None:
        """All processes are gone; the store works; two commands come by."""
        self.client.is_down = False
        killed = [training.run is not None for training in self.trainings]
        for training in self.trainings:
            self.die(training)
        mark_killed(self.store, silent_seconds=-1)
        problems = {one.spool_id: one.delivered.problem for one in sync_spools(self.store)}
        assert set(problems.values()) <= {""}
        assert spools(self.store) == []
        assert len(self.client.runs) == sum(bool(training.run_id) for training in self.trainings)
        for number, training in enumerate(self.trainings):
            if training.run_id:
                self.check(number, training, was_running=killed[number])

    def check(self, number: int, training: Expected, *, was_running: bool) -> None:
        run_id = known_id(self.store, training.run_id)
        points = self.client.points[run_id]
        assert [point.step for point in points["loss"]] == list(range(1, training.logged + 1))
        samples = list(range(1, training.samples + 1))
        assert [point.step for point in points["system/load"]] == samples
        assert self.client.artifacts[run_id] == training.artifacts
        run = self.client.runs[run_id]
        assert run.data.params["training.epochs"] == "1"
        assert run.info.status == (training.status or "KILLED"), was_running
        versions = [item for item in self.client.versions if item.run_id == run_id]
        models = [item for item in self.client.models.values() if item.source_run_id == run_id]
        assert len(versions) == len(models) == len(run.outputs.model_outputs)
        assert len(versions) == int(training.registered)
        if versions:
            version = versions[0].version
            assert version in self.client.aliases["model"].values() or number


TestSpoolStates = SpoolStates.TestCase
TestSpoolStates.settings = settings(
    max_examples=_EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
