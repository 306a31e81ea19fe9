"""The steps of a training: the network, and what moves its weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import nn

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.sampling import Batch
from slicewise.errors import TrainingError
from slicewise.imaging.memory import is_out_of_memory
from slicewise.segmentation.accumulation import levels_in_parts
from slicewise.segmentation.batches import TrainingBatches
from slicewise.segmentation.checkpoint import Checkpoint
from slicewise.segmentation.clocked_course import course_of
from slicewise.segmentation.course import Clock
from slicewise.segmentation.device import autocast, choose_device, in_memory_format
from slicewise.segmentation.finetuning import start_from
from slicewise.segmentation.losses import SegmentationLoss
from slicewise.segmentation.memory_needs import require_memory_for_training
from slicewise.segmentation.networks import build_network, init_output_bias
from slicewise.segmentation.optimization import Optimization
from slicewise.segmentation.process_group import ALONE, ProcessGroup, Value
from slicewise.segmentation.seeding import seed_of_step, seeded
from slicewise.segmentation.training_progress import TrainingProgress

_MOST_SKIPPED = 50
"""The scaler halves its scale at each of these steps: more of them do not end by themselves."""


class BatchLoss(NamedTuple):
    """Of a batch, with the times at which it was begun and had its data."""

    value: float
    started: float
    ready: float


class TrainingSteps:
    """Takes the steps of a training, one at a time, in one process or in several together.

    Args:
        config: complete, with a fixed precision and without epochs.
        train: cases that are learned from.
        fold: for messages.
        initial: checkpoint whose weights it starts from; None starts from random weights.
        clock: of a budget in minutes, in seconds.
        group: of the processes that train together; each takes its share of every step.

    Attributes:
        course: when it ends, at which learning rate it goes on, when it is validated.
        progress: what has been reached.
        reinitialized: which weights the initial checkpoint did not fit, a sentence each.

    Raises:
        TrainingError: no training cases.
        CheckpointError: the initial checkpoint is of another network.
    """

    def __init__(
        self,
        config: Config,
        train: Sequence[CachedCase],
        fold: str,
        initial: Checkpoint | None = None,
        clock: Clock = time.monotonic,
        group: ProcessGroup = ALONE,
    ) -> None:
        section = config.training
        assert section.precision != "auto", "resolve the configuration first"
        if not train:
            raise TrainingError(
                f"fold {fold}",
                expected="at least one training case",
                found="no usable case",
                remedy="see why its cases were set aside, or choose another fold",
            )
        self.config = config
        self.train_cases = train
        self.fold, self.group = fold, group
        self.device = choose_device(section.device)
        require_memory_for_training(config, self.device)
        self.progress = TrainingProgress()
        with seeded(config.seed, torch.device("cpu")):
            network = build_network(config)
        self.batches = TrainingBatches(train, config, self.device)
        if section.loss == "dice_ce":
            # Dice alone has next to no gradient where nothing is probable.
            classes = max(config.out_channels, 2)
            init_output_bias(
                network, self.batches.sampler.class_priors(section.batch_size, classes)
            )
        self.reinitialized = (
            [] if initial is None else start_from(network, initial, config, "the first weights")
        )
        network = in_memory_format(network, section).to(self.device)
        self.network = group.with_shared_batch_norm(network, self.device)
        self.optimization = Optimization(self.network, section, self.device, group)
        self.course, self.clock = course_of(section, clock), clock
        self.loss = SegmentationLoss(section, config.out_channels).to(self.device)

    @property
    def model(self) -> nn.Module:
        """The network that predicts: the running average where one is kept."""
        average = self.optimization.average
        return self.network if average is None else average.module

    def step(self) -> dict[str, float]:
        """Take one step; returns loss, learning rate and duration."""
        return self.update(self.backward())

    def backward(self) -> BatchLoss:
        """The gradients of the next batch; no weight changes."""
        while True:
            try:
                return self._backward()
            except Exception as error:
                if not self._may_divide(error):
                    raise
            # Not above, where the error holds what has filled the memory.
            self.optimization.forget_gradients()
            self.progress.parts *= 2

    def _may_divide(self, error: Exception) -> bool:
        """Whether a batch in more parts may fit into memory."""
        section = self.config.training
        return (
            section.when_memory_is_full == "accumulate"
            # Other processes wait for this one where it has got to.
            and self.group.size == 1
            and self.progress.parts < section.batch_size
            and is_out_of_memory(error)
        )

    def _backward(self) -> BatchLoss:
        started = time.perf_counter()
        batch, images, labels = self.batches.of_step(self.progress.step)
        ready = time.perf_counter()
        self.network.train()
        count, group = len(images), self.group
        seed = seed_of_step(self.config.seed, self.progress.step, group.rank)
        with seeded(seed, self.device), autocast(self.config.training.precision, self.device):
            levels = levels_in_parts(
                self.network, images[group.share_of(count)], self.progress.parts
            )
        loss = self.loss.of_levels([group.joined(level, count) for level in levels], labels)
        norm = self.optimization.backward(loss)
        # The one moment of a step in which a GPU is waited for.
        value, norm = torch.stack([loss.detach(), norm]).tolist()
        if not math.isfinite(value):
            raise self._not_a_number(batch, "loss", value)
        progress = self.progress
        if math.isfinite(norm):
            progress.skipped_in_a_row = 0
        else:
            # Under float16 such a step is skipped.
            progress.skipped += 1
            progress.skipped_in_a_row += 1
            is_expected = self.optimization.scaler.is_enabled()
            if not is_expected or progress.skipped_in_a_row > _MOST_SKIPPED:
                raise self._not_a_number(batch, "gradient", norm)
        return BatchLoss(value, started, ready)

    def update(self, loss: BatchLoss) -> dict[str, float]:
        """Move the weights along the gradients of ``backward``; see ``step``."""
        step = self.progress.step
        rate = self.optimization.update(self.decided(lambda: self.course.rate_factor(step)))
        progress, seconds = self.progress, time.perf_counter() - loss.started
        progress.step += 1
        progress.losses.append(loss.value)
        progress.seconds += seconds
        progress.step_seconds += seconds
        progress.data_seconds += loss.ready - loss.started
        self.course.took_step()
        return {"loss": loss.value, "learning_rate": rate, "step_seconds": seconds}

    def state(self) -> dict[str, Any]:
        """Everything that the remaining steps depend on, as plain values."""
        return {
            "network": self.network.state_dict(),
            "optimization": self.optimization.state(),
            "course": self.course.state(),
            "progress": asdict(self.progress),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken."""
        self.network.load_state_dict(state["network"])
        self.optimization.restore(state["optimization"])
        self.course.restore(state["course"])
        self.progress = TrainingProgress(**state["progress"])

    def decided(self, decide: Callable[[], Value]) -> Value:
        """By the clock of the first process, where a clock decides."""
        return self.group.decided(decide) if self.course.is_clocked else decide()

    def _not_a_number(self, batch: Batch, what: str, value: float) -> TrainingError:
        return TrainingError(
            f"step {self.progress.step + 1}",
            expected=f"a finite {what}",
            found=f"{value} on the batch of {', '.join(sorted(set(batch.cases)))}",
            remedy="check these cases with `slicewise check`, lower training.learning_rate or "
            "set training.precision to float32; the last checkpoint is intact",
        )
