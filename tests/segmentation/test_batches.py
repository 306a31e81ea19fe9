"""Batches that background threads make are those that the training would make itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.segmentation.ahead import MadeAhead
from slicewise.segmentation.batches import AugmentedBatch, TrainingBatches, _MadeOnGpu

MakeConfig = Callable[..., Config]
CPU = torch.device("cpu")


class TestMadeAhead:
    def test_makes_the_next_before_it_is_asked_for(self) -> None:
        made = {step: threading.Event() for step in range(9)}
        ahead = MadeAhead(lambda step: made[step].set() or 10 * step)
        assert ahead.of_step(1) == 10
        assert made[2].wait(10)
        assert made[3].wait(10)
        assert not made[0].is_set()

    def test_goes_on_anywhere(self) -> None:
        ahead = MadeAhead(lambda step: 10 * step)
        assert [ahead.of_step(step) for step in (0, 1, 7, 7, 3, 4)] == [0, 10, 70, 70, 30, 40]

    def test_raises_an_error_at_its_step(self) -> None:
        def make(step: int) -> int:
            if step == 2:
                raise OSError("an entry of the cache cannot be read")
            return step

        ahead = MadeAhead(make)
        assert [ahead.of_step(0), ahead.of_step(1)] == [0, 1]
        with pytest.raises(OSError, match="cannot be read"):
            ahead.of_step(2)
        assert ahead.of_step(3) == 3


def require_equal(one: AugmentedBatch, other: AugmentedBatch) -> None:
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.labels, other.labels)
    assert one.windows.cases == other.windows.cases


@pytest.mark.parametrize("contrast", ["off", "robust", "synthetic"])
def test_a_batch_depends_on_its_step_alone(
    make_config: MakeConfig, cases: Sequence[CachedCase], contrast: str
) -> None:
    config = make_config(
        augmentation={
            "affine_probability": 0.5,
            "noise_probability": 0.5,
            "contrast": contrast,
        }
    )
    one_after_the_other = TrainingBatches(cases, config, CPU)
    found = [one_after_the_other.of_step(step) for step in range(4)]
    for step in (2, 0, 3):
        require_equal(TrainingBatches(cases, config, CPU).of_step(step), found[step])


class FakeStream:
    """Notes what a stream of a GPU is asked to do."""

    device = CPU

    def __init__(self, *_: object) -> None:
        self.waited_for: list[object] = []

    def record_event(self) -> tuple[FakeStream, str]:
        return self, threading.current_thread().name

    def wait_event(self, event: object) -> None:
        self.waited_for.append(event)


class FakeTensor:
    def __init__(self) -> None:
        self.used_by: list[object] = []

    def record_stream(self, stream: object) -> None:
        self.used_by.append(stream)


def test_a_gpu_makes_them_in_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    network, within = FakeStream(), []

    @contextmanager
    def stream(one: FakeStream) -> Iterator[None]:
        within.append(one)
        yield
        within.remove(one)

    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: network)

    def make(step: int) -> AugmentedBatch:
        assert len(within) == 1
        return AugmentedBatch(step, FakeTensor(), FakeTensor())  # type: ignore[arg-type]

    batches = _MadeOnGpu(make, torch.device("cuda"))
    for step in (0, 1):
        batch = batches.of_step(step)
        assert batch.windows == step
        own, thread = network.waited_for[step]  # type: ignore[misc]
        assert own is not network
        assert thread.startswith("ahead")
        assert batch.images.used_by == batch.labels.used_by == [network]  # type: ignore[attr-defined]
