"""Several processes train the network that one process would, and end together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch import distributed as torch_distributed
from torch import nn

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.errors import InterruptedBySignal, TrainingError, UsageError, WorkerError
from slicewise.interruption import interruptible
from slicewise.segmentation import rendezvous, torchrun
from slicewise.segmentation.budget import plan_run
from slicewise.segmentation.checkpoint import load_checkpoint
from slicewise.segmentation.distributed import DistributedGroup
from slicewise.segmentation.process_group import (
    ALONE,
    ProcessGroup,
    ProcessLostError,
    follow,
    is_follower,
    open_group,
)
from slicewise.segmentation.resuming import resume_training
from slicewise.segmentation.seeding import seed_of_step
from slicewise.segmentation.training import Training
from slicewise.segmentation.training_progress import Unobserved

MakeConfig = Callable[..., Config]
Cases = Sequence[CachedCase]
LIVELY = {"affine_probability": 0.5, "noise_probability": 0.5}


class Acting(Unobserved):
    """Does something after a step."""

    def __init__(self, step: int, action: Callable[[], object]) -> None:
        self.step, self.action = step, action

    def on_step(self, step: int, values: dict[str, float]) -> None:
        del values
        if step == self.step:
            self.action()


@pytest.fixture(scope="module", autouse=True)
def _enough_cores() -> Iterator[None]:
    """Three processes are not refused on two cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
        yield


@pytest.fixture
def config(make_config: MakeConfig) -> Config:
    return instance(make_config)


def instance(make_config: MakeConfig, **training: Any) -> Config:
    return make_config(
        network={"normalization": "instance"},
        # AdamW divides by the size of a gradient, which next to 0 is that of its rounding errors.
        training={"steps": 30, "batch_size": 7, "learning_rate": 1e-2, "optimizer": "sgd"}
        | training,
        augmentation=LIVELY,
    )


def a_training(config: Config, cases: Cases, group: ProcessGroup) -> Training:
    return Training(config, cases[:2], cases[2:], "0", group=group)


EARLIER: set[BaseProcess] = set()


@pytest.fixture(scope="module", autouse=True)
def _of_others() -> Iterator[None]:
    """Children that were there before, such as those that other tests read scans in."""
    EARLIER.update(active_children())
    yield
    EARLIER.clear()


def followers() -> list[psutil.Process]:
    """Processes that a group has started, in the order of their ranks."""
    children = (child for child in active_children() if child not in EARLIER)
    # Each was started when the one before was ready.
    return sorted((psutil.Process(child.pid) for child in children), key=psutil.Process.create_time)


@pytest.fixture(scope="class")
def group(make_config: MakeConfig) -> Iterator[ProcessGroup]:
    with open_group(2, make_config().training) as group:
        yield group


class TestOfTwoProcesses:
    """One group trains several networks, as it does with all folds."""

    @pytest.mark.slow
    def test_train_the_same_network_as_one(
        self, config: Config, cases: Cases, tmp_path: Path, group: ProcessGroup
    ) -> None:
        trained = {}
        for name, members in (("one", ALONE), ("two", group), ("again", group)):
            trained[name] = a_training(config, cases, members)
            trained[name].run(tmp_path / name, Unobserved())
        one, two, again = (training.network.state_dict() for training in trained.values())
        for name, weight in one.items():
            torch.testing.assert_close(two[name], weight, atol=1e-5, rtol=0)
            assert torch.equal(two[name], again[name])
        # Each case of the validation is scored by one of the processes.
        rows = [(tmp_path / name / "history.jsonl").read_text() for name in ("one", "two")]
        assert rows[0] == rows[1]
        assert trained["two"].progress.losses == pytest.approx(trained["one"].progress.losses)
        saved = [load_checkpoint(tmp_path / name / "last.pt") for name in ("one", "two")]
        assert saved[0].facts == saved[1].facts

    @pytest.mark.slow
    def test_keep_a_budget_in_minutes_together(
        self, make_config: MakeConfig, cases: Cases, tmp_path: Path, group: ProcessGroup
    ) -> None:
        # Rounding errors grow from step to step, and a fast machine takes hundreds of them.
        config = instance(make_config, steps=None, budget_minutes=0.05, learning_rate=5e-4)
        plan = plan_run(config, cases[:2], cases[2:], group)
        training = a_training(plan.config, cases, group)
        training.run(tmp_path / "first", Unobserved())
        steps = training.config.training.steps
        assert steps is not None
        assert steps > 5
        # What the clock of the first process has decided can be repeated, bit for bit.
        again = a_training(training.config, cases, group)
        again.run(tmp_path / "together", Unobserved())
        for name, weight in training.network.state_dict().items():
            assert torch.equal(again.network.state_dict()[name], weight)
        # By one process alone, too.
        alone = a_training(training.config, cases, ALONE)
        alone.run(tmp_path / "alone", Unobserved())
        for name, weight in training.network.state_dict().items():
            torch.testing.assert_close(alone.network.state_dict()[name], weight, atol=1e-3, rtol=0)

    @pytest.mark.slow
    def test_stop_after_the_same_step_and_go_on_with_another_number(
        self, config: Config, cases: Cases, tmp_path: Path, group: ProcessGroup
    ) -> None:
        # The last of these tests: a process that a signal has ended takes no further part.
        (follower,) = followers()
        training = a_training(config, cases, group)
        with pytest.raises(InterruptedBySignal) as caught:
            training.run(tmp_path, Acting(5, follower.terminate))
        assert caught.value.where == str(tmp_path / "last.pt")
        stopped = load_checkpoint(tmp_path / "last.pt")
        assert stopped.facts["step"] == training.progress.step
        assert 5 <= training.progress.step < 30
        resumed = resume_training(config, cases[:2], cases[2:], "0", tmp_path)
        resumed.run(tmp_path, Unobserved())
        whole = a_training(config, cases, ALONE)
        whole.run(tmp_path / "whole", Unobserved())
        for name, weight in whole.network.state_dict().items():
            torch.testing.assert_close(
                resumed.network.state_dict()[name], weight, atol=1e-5, rtol=0
            )


@pytest.mark.slow
@pytest.mark.parametrize("rank", [1, 2])
def test_three_processes(config: Config, cases: Cases, tmp_path: Path, rank: int) -> None:
    one = a_training(config, cases, ALONE)
    one.run(tmp_path / "one", Unobserved())
    with open_group(3, config.training) as group:
        three = a_training(config, cases, group)
        # Seven windows: three, two and two.
        three.run(tmp_path / "three", Unobserved())
        weights = three.network.state_dict()
        for name, weight in one.network.state_dict().items():
            torch.testing.assert_close(weights[name], weight, atol=1e-5, rtol=0)
        victim = followers()[rank - 1]
        again = a_training(config, cases, group)
        with pytest.raises(ProcessLostError) as caught:
            again.run(tmp_path / "again", Acting(5, victim.kill))
    assert caught.value.where == f"process {rank} on {os.uname().nodename}"
    assert "SIGKILL" in caught.value.found
    # The first process has lost nothing.
    assert load_checkpoint(tmp_path / "again" / "last.pt").facts["step"] >= 5


@pytest.mark.slow
def test_values_that_are_no_numbers_end_all(config: Config, cases: Cases, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    for name in ("label", "points"):
        (spoilt / f"{name}.npy").symlink_to(cases[0].folder / f"{name}.npy")
    np.save(spoilt / "image.npy", np.full_like(cases[0].image, np.nan))
    case = CachedCase("spoilt", "patient", "key", spoilt)
    with open_group(2, config.training) as group:
        training = Training(config, [case], [], "0", group=group)
        with pytest.raises(TrainingError, match="a finite loss") as caught:
            training.run(tmp_path, Unobserved())
    assert caught.value.found == "nan on the batch of spoilt"


@pytest.mark.slow
def test_a_process_that_stands_still(
    config: Config, cases: Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendezvous, "EXCHANGE_SECONDS", 1.0)
    started = time.monotonic()
    with open_group(2, config.training) as group:
        (follower,) = followers()
        with pytest.raises(ProcessLostError, match="no longer answers"):
            a_training(config, cases, group).run(tmp_path, Acting(3, follower.suspend))
    assert time.monotonic() - started < 20
    assert not follower.is_running()


@pytest.mark.slow
@pytest.mark.parametrize("pause_seconds", [0.0, 0.1])
def test_an_error_of_the_first_process_does_not_come_back_as_a_signal(
    config: Config, pause_seconds: float
) -> None:
    def fail() -> None:
        with interruptible(), open_group(2, config.training):
            time.sleep(pause_seconds)
            raise ValueError("of the caller")

    for _ in range(3):
        with pytest.raises(ValueError, match="of the caller"):
            fail()


class TestWithoutProcesses:
    """What is decided before anything is started."""

    @pytest.mark.parametrize("count", [0, 4])
    def test_more_than_there_are(self, make_config: MakeConfig, count: int) -> None:
        with (
            pytest.raises(UsageError, match="cores of the processor") as caught,
            open_group(count, make_config().training),
        ):
            pass
        assert caught.value.where == f"`devices` {count}"
        assert caught.value.remedy == "give `devices` 3"

    def test_more_gpus_than_there_are(
        self, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        section = make_config(training={"device": "auto"}).training
        with pytest.raises(UsageError, match="from 1 to 2: so many GPUs"), open_group(4, section):
            pass

    def test_more_than_windows(self, make_config: MakeConfig) -> None:
        section = make_config(training={"batch_size": 2}).training
        with (
            pytest.raises(UsageError, match="each of 3 processes") as caught,
            open_group(3, section),
        ):
            pass
        assert caught.value.where == "training.batch_size 2"

    def test_accumulation(self, make_config: MakeConfig) -> None:
        section = make_config(training={"when_memory_is_full": "accumulate"}).training
        with (
            pytest.raises(UsageError, match="2 processes") as caught,
            open_group(2, section),
        ):
            pass
        assert caught.value.where == "training.when_memory_is_full accumulate"

    def test_another_number_than_that_of_torchrun(
        self, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = {"RANK": "0", "WORLD_SIZE": "3", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
        for name, value in place.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(UsageError, match="torchrun"), open_group(2, make_config().training):
            pass
        assert not is_follower()
        monkeypatch.setenv("RANK", "1")
        assert is_follower()

    def test_a_variable_that_is_no_number(
        self, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = {"RANK": "0", "WORLD_SIZE": "two", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
        for name, value in place.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(UsageError, match="WORLD_SIZE"), open_group(2, make_config().training):
            pass

    def test_the_first_process_does_not_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rendezvous, "RENDEZVOUS_SECONDS", 0.1)
        monkeypatch.setattr(torchrun, "_PAUSE_SECONDS", 0.01)
        # Port 1 is nobody's.
        place = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
        for name, value in place.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(WorkerError, match=r"within 0\.1 s: 127\.0\.0\.1:1") as caught:
            follow()
        assert caught.value.where == f"process 1 of 2, on {os.uname().nodename}"

    def test_nobody_answers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rendezvous, "RENDEZVOUS_SECONDS", 0.1)
        store = torch_distributed.FileStore(str(tmp_path / "store"), 3)
        store.set("host/1", "node-b")
        with pytest.raises(WorkerError) as caught:
            rendezvous._met(store, 0, 3, lambda _: "")
        assert caught.value.found == f"0 on {os.uname().nodename}, 1 on node-b; not 2"

    def test_one_process_takes_no_part_in_anything(self) -> None:
        assert ALONE.share_of(5) == slice(0, 5)
        assert list(ALONE.some_of("abc")) == ALONE.gathered(list("abc")) == list("abc")
        assert ALONE.decided(lambda: 3) == 3
        assert not ALONE.is_interrupted()

    def test_each_process_draws_its_own_dropout(self) -> None:
        seeds = {seed_of_step(5, step, rank) for step in range(100) for rank in range(16)}
        assert len(seeds) == 1600
        assert seed_of_step(5, 3, 0) == seed_of_step(5, 3)

    @pytest.mark.parametrize(("size", "count"), [(2, 7), (3, 7), (3, 3), (4, 30)])
    def test_shares_make_up_the_whole(self, size: int, count: int) -> None:
        shares, dealt = [], []
        for rank in range(size):
            group = ProcessGroup()
            group.rank, group.size = rank, size
            shares += range(count)[group.share_of(count)]
            dealt += group.some_of(range(count))
        assert shares == sorted(dealt) == list(range(count))

    def test_batch_normalisation(self, tmp_path: Path) -> None:
        store = torch_distributed.FileStore(str(tmp_path / "store"), 2)
        group = DistributedGroup(store, 0, ["node-a", "node-b"], lambda _: "")
        network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        names = network.state_dict().keys()
        on_cpu = group.with_shared_batch_norm(network, torch.device("cpu"))
        first, warning = group.summary(on_cpu, 7)
        assert first == (
            "2 processes on 2 machines train together, each with up to 4 of the 7 windows of a step"
        )
        assert "network.normalization=instance" in warning
        on_gpu = group.with_shared_batch_norm(network, torch.device("cuda"))
        assert isinstance(on_gpu[1], nn.SyncBatchNorm)
        assert on_gpu.state_dict().keys() == names
        assert len(list(group.summary(on_gpu, 7))) == 1
