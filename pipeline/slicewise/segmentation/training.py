"""The training loop, which can be interrupted and resumed exactly."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.imaging.files import write_text
from slicewise.interruption import SignalReceived, interruptible, uninterrupted
from slicewise.segmentation.batches import TrainingBatches
from slicewise.segmentation.checkpoint import BEST, LAST, Checkpoint, save_checkpoint
from slicewise.segmentation.clocked_course import course_of
from slicewise.segmentation.course import Clock, ValidationOrder
from slicewise.segmentation.device import autocast, choose_device, in_memory_format
from slicewise.segmentation.finetuning import start_from
from slicewise.segmentation.losses import SegmentationLoss
from slicewise.segmentation.memory import memory_for_training
from slicewise.segmentation.memory_needs import require_memory_for_training
from slicewise.segmentation.networks import build_network, init_output_bias
from slicewise.segmentation.optimization import Optimization
from slicewise.segmentation.process_group import ALONE, ProcessGroup, ProcessLostError, Value
from slicewise.segmentation.seeding import seed_of_step, seeded
from slicewise.segmentation.training_checkpoint import checkpoint_of
from slicewise.segmentation.training_errors import no_cases, not_a_number
from slicewise.segmentation.training_progress import TrainingObserver, TrainingProgress, Unobserved
from slicewise.segmentation.validation import ValidationScore, spread, validate

_MOST_SKIPPED = 50
"""The scaler halves its scale at each of these steps: more of them do not end by themselves."""
SECONDS_BETWEEN_CHECKPOINTS = 300.0
"""A killed run loses at most this, or the time since its last validation."""


class _Loss(NamedTuple):
    """Of a batch, with the times at which it was begun and had its data."""

    value: float
    started: float
    ready: float


class Training:
    """Trains one network for a number of steps, or for a budget in minutes.

    Args:
        config: complete, with a fixed precision and without epochs. At the end of a budget in
            minutes it has the steps that were taken, and how they went.
        train: cases that are learned from.
        val: cases that are scored.
        fold: written to the checkpoints.
        initial: checkpoint whose weights it starts from; None starts from random weights.
        clock: of a budget in minutes, in seconds.
        group: of the processes that train together, of which each has its own ``Training``.

    Attributes:
        course: when it ends, at which learning rate it goes on, when it is validated.
        reinitialized: which weights the initial checkpoint did not fit, a sentence each.

    Raises:
        TrainingError: no training cases.
        CheckpointError: the initial checkpoint is of another network.
    """

    def __init__(
        self,
        config: Config,
        train: Sequence[CachedCase],
        val: Sequence[CachedCase],
        fold: str,
        initial: Checkpoint | None = None,
        clock: Clock = time.monotonic,
        group: ProcessGroup = ALONE,
    ) -> None:
        section = config.training
        assert section.precision != "auto", "resolve the configuration first"
        if not train:
            raise no_cases(fold)
        self.config = config
        self.train_cases, self.val_cases = train, val
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
        self.course, self._clock = course_of(section, clock), clock
        self.loss = SegmentationLoss(section, config.out_channels).to(self.device)
        self._saved_step = -1

    @property
    def model(self) -> nn.Module:
        """The network that predicts: the running average where one is kept."""
        average = self.optimization.average
        return self.network if average is None else average.module

    def run(self, out: Path, observer: TrainingObserver) -> TrainingProgress:
        """Take the remaining steps, writing checkpoints into ``out``.

        Raises:
            TrainingError: loss or gradient is no number; the message names the cases of the batch.
            InterruptedBySignal: a signal came; the state was saved first.
            OutputError: a checkpoint cannot be written; the one before it is intact.
        """
        with interruptible(), memory_for_training(self.config):
            self._begin_together(out)
            self.course.begin()
            try:
                with self.group.in_step():
                    self._go_on(out, observer)
            except (SignalReceived, ProcessLostError) as reason:
                with uninterrupted():
                    self.save(out / LAST)
                if isinstance(reason, SignalReceived):
                    reason.go_on_with(out / LAST, "the state is saved; continue with `resume`")
                raise
        return self.progress

    def _begin_together(self, out: Path) -> None:
        """Let the other processes take part, from the state of this one on."""
        group, cases = self.group, (self.train_cases, self.val_cases)
        if group.is_first:
            group.call(_take_part, self.config, *cases, self.fold, out)
        if group.size > 1:
            state = self.group.state_of_first(self.state())
            if not self.group.is_first:
                self.restore(state)

    def _go_on(self, out: Path, observer: TrainingObserver) -> None:
        saved_at = time.monotonic()
        while not self.group.is_interrupted():
            order = self._order_of_validation()
            if order is not None and not self._is_validated:
                self._validate(order, out, observer)
                saved_at = time.monotonic()
            elif time.monotonic() - saved_at > SECONDS_BETWEEN_CHECKPOINTS:
                self.save(out / LAST)
                saved_at = time.monotonic()
            if self._is_done:
                self._record_course()
                if self._saved_step != self.progress.step:
                    self.save(out / LAST)
                return
            self._take_step(observer)

    def _order_of_validation(self) -> ValidationOrder | None:
        step = self.progress.step
        return self._decided(lambda: self.course.validation(step)) if step else None

    @property
    def _is_done(self) -> bool:
        is_over = self._decided(lambda: self.course.is_over(self.progress.step))
        return is_over or self._out_of_patience()

    def _decided(self, decide: Callable[[], Value]) -> Value:
        """By the clock of the first process, where a clock decides."""
        return self.group.decided(decide) if self.course.is_clocked else decide()

    @property
    def _is_validated(self) -> bool:
        history = self.progress.history
        return bool(history) and history[-1]["step"] == self.progress.step

    def _record_course(self) -> None:
        training = self.course.recorded(self.config.training, self.progress.step)
        self.config = self.config.model_copy(update={"training": training})

    def _take_step(self, observer: TrainingObserver) -> None:
        """Take a step and report it; one that a signal interrupts leaves no trace."""
        step = self.progress.step
        # Batch normalisation changes them before the step is sure to be taken.
        buffers = [buffer.clone() for buffer in self.network.buffers()]
        try:
            loss = self._backward()
            with uninterrupted():
                observer.on_step(step + 1, self._update(loss))
        except (SignalReceived, ProcessLostError):
            if self.progress.step == step:
                for buffer, before in zip(self.network.buffers(), buffers, strict=True):
                    buffer.copy_(before)
            raise

    def step(self) -> dict[str, float]:
        """Take one step; returns loss, learning rate and duration."""
        return self._update(self._backward())

    def _backward(self) -> _Loss:
        """The gradients of the next batch; no weight changes."""
        started = time.perf_counter()
        batch, images, labels = self.batches.of_step(self.progress.step)
        ready = time.perf_counter()
        self.network.train()
        count, group = len(images), self.group
        seed = seed_of_step(self.config.seed, self.progress.step, group.rank)
        with seeded(seed, self.device), autocast(self.config.training.precision, self.device):
            levels = self.network.levels(images[group.share_of(count)])
        loss = self.loss.of_levels([group.joined(level, count) for level in levels], labels)
        if not math.isfinite(value := loss.item()):
            raise not_a_number(self.progress.step, batch, "loss", value)
        norm = self.optimization.backward(loss)
        progress = self.progress
        if math.isfinite(norm):
            progress.skipped_in_a_row = 0
        else:
            # Under float16 such a step is skipped.
            progress.skipped += 1
            progress.skipped_in_a_row += 1
            is_expected = self.optimization.scaler.is_enabled()
            if not is_expected or progress.skipped_in_a_row > _MOST_SKIPPED:
                raise not_a_number(self.progress.step, batch, "gradient", norm)
        return _Loss(value, started, ready)

    def _update(self, loss: _Loss) -> dict[str, float]:
        step = self.progress.step
        rate = self.optimization.update(self._decided(lambda: self.course.rate_factor(step)))
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
        self._saved_step = self.progress.step

    def save(self, path: Path) -> None:
        """Write a checkpoint that predicts and that training can go on from."""
        if self.group.is_first:
            save_checkpoint(checkpoint_of(self), path)
        if path.name == LAST:
            self._saved_step = self.progress.step

    def _out_of_patience(self) -> bool:
        patience = self.config.training.patience
        return patience is not None and self.progress.validations_since_best >= patience

    def _validate(self, order: ValidationOrder, out: Path, observer: TrainingObserver) -> None:
        started = time.perf_counter()
        # With too little time for all cases, the first of them stand for all.
        cases = self.val_cases if order == ValidationOrder() else spread(self.val_cases)
        score = validate(
            self.model,
            cases[: order.cases],
            self.config,
            self.device,
            is_late=order.is_late(self._clock),
            least=1 if order.is_required else 0,
            group=self.group,
        )
        if self.group.is_interrupted():
            # Some cases are missing.
            return
        with uninterrupted():
            self.progress.seconds += time.perf_counter() - started
            self.course.validated(self.progress.step, score.cases)
            if score.cases or not cases:
                self._keep(score, out, observer)

    def _keep(self, score: ValidationScore, out: Path, observer: TrainingObserver) -> None:
        """Report a validation, and save what it has found."""
        progress = self.progress
        progress.validation_cases = progress.validation_cases or score.cases
        improved = False
        if score.cases >= progress.validation_cases:
            improved = score.mean > progress.best_dice
            progress.validations_since_best = 0 if improved else progress.validations_since_best + 1
        if improved:
            progress.best_dice, progress.best_step = score.mean, progress.step
        progress.history.append(score.row(progress.step, len(self.val_cases)))
        observer.on_validation(progress.step, score)
        if self._is_done:
            self._record_course()
        # First: a training that is killed now writes the same rows again.
        if self.group.is_first:
            rows = "".join(json.dumps(row) + "\n" for row in progress.history)
            write_text(out / "history.jsonl", rows)
        if improved:
            self.save(out / BEST)
        self.save(out / LAST)
        self.course.saved()


def _take_part(
    group: ProcessGroup,
    config: Config,
    train: Sequence[CachedCase],
    val: Sequence[CachedCase],
    fold: str,
    out: Path,
) -> None:
    Training(config, train, val, fold, group=group).run(out, Unobserved())
