"""The training loop: a fixed number of steps, which can be interrupted and resumed exactly."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from slicewise import __version__
from slicewise.config import NETWORKS, Config, as_yaml, without_places
from slicewise.dataset.additional_augmentation import AdditionalAugmentation
from slicewise.dataset.augmentation import augment, drop_contrast, mirror
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.plane import known_axes
from slicewise.dataset.sampling import Batch, WindowSampler
from slicewise.errors import InterruptedBySignal, TrainingError
from slicewise.imaging.files import write_text
from slicewise.segmentation.checkpoint import BEST, LAST, Checkpoint, save_checkpoint
from slicewise.segmentation.device import (
    autocast,
    choose_device,
    in_memory_format,
    memory_format_of,
)
from slicewise.segmentation.finetuning import start_from
from slicewise.segmentation.interruption import SignalWatch
from slicewise.segmentation.losses import SegmentationLoss
from slicewise.segmentation.memory import memory_for_training
from slicewise.segmentation.networks import build_network, init_output_bias
from slicewise.segmentation.optimization import RunningAverage, build_optimizer, build_schedule
from slicewise.segmentation.validation import ValidationScore, validate

SECONDS_BETWEEN_CHECKPOINTS = 300.0
"""A killed run loses at most this, or the time since its last validation."""


class TrainingObserver(Protocol):
    """Receives the progress of a training: a progress bar, a tracked run."""

    def on_step(self, step: int, values: dict[str, float]) -> None:
        """Called after each step."""

    def on_validation(self, step: int, score: ValidationScore) -> None:
        """Called after each validation."""


@dataclass
class TrainingProgress:
    """State of a training: steps taken, best validation, durations and history.

    Attributes:
        step: steps taken.
        best_dice: best validation so far.
        best_step: where it was reached.
        validations_since_best: for patience.
        seconds: spent on steps and validations, over all sessions.
        step_seconds: of these, spent on steps.
        data_seconds: of these, spent on sampling and augmentation.
        history: one row per validation.
        losses: of each step.
    """

    step: int = 0
    best_dice: float = -1.0
    best_step: int = 0
    validations_since_best: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    data_seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


class Training:
    """Trains one network for a number of steps.

    Args:
        config: complete and resolved: steps and precision are fixed.
        train: cases that are learned from.
        val: cases that are scored.
        fold: written to the checkpoints.
        initial: checkpoint whose weights it starts from; None starts from random weights.

    Attributes:
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
    ) -> None:
        section = config.training
        assert section.precision != "auto", "resolve the configuration first"
        if not train:
            raise TrainingError(
                f"fold {fold}",
                expected="at least one training case",
                found="none that is usable",
                remedy="see why its cases were set aside, or choose another fold",
            )
        self.config = config
        self.train_cases, self.val_cases = train, val
        self.fold = fold
        self.device = choose_device(section.device)
        self.progress = TrainingProgress()
        with _seeded(config.seed, torch.device("cpu")):
            network = build_network(config)
        self.sampler = WindowSampler(train, config)
        if section.loss == "dice_ce":
            # Dice alone has next to no gradient where nothing is probable.
            classes = max(config.out_channels, 2)
            init_output_bias(network, self.sampler.class_priors(section.batch_size, classes))
        self.reinitialized = (
            [] if initial is None else start_from(network, initial, config, "the first weights")
        )
        self.memory_format = memory_format_of(section)
        self.network = in_memory_format(network, section).to(self.device)
        self.average = (
            None if section.ema_decay is None else RunningAverage(self.network, section.ema_decay)
        )
        self.optimizer = build_optimizer(self.network, section)
        self.schedule = build_schedule(self.optimizer, section, section.steps or 1)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=section.precision == "float16")
        self.loss = SegmentationLoss(section, config.out_channels).to(self.device)
        self.additional = AdditionalAugmentation(config.augmentation)

    @property
    def model(self) -> nn.Module:
        """The network that predicts: the running average where one is kept."""
        return self.network if self.average is None else self.average.module

    def run(self, out: Path, observer: TrainingObserver) -> TrainingProgress:
        """Take the remaining steps, writing checkpoints into ``out``.

        Raises:
            TrainingError: loss or gradient is no number; the message names the cases of the batch.
            InterruptedBySignal: SIGTERM or SIGINT came; the state was saved first.
        """
        steps = self.config.training.steps
        assert steps is not None, "resolve the budget first"
        saved_at = time.monotonic()
        with SignalWatch() as signals, memory_for_training(self.config):
            while self.progress.step < steps and not self._out_of_patience():
                observer.on_step(self.progress.step + 1, self.step())
                if self._validation_is_due(steps):
                    self._validate(out, observer)
                    saved_at = time.monotonic()
                elif time.monotonic() - saved_at > SECONDS_BETWEEN_CHECKPOINTS:
                    self.save(out / LAST)
                    saved_at = time.monotonic()
                if signals.received is not None:
                    self.save(out / LAST)
                    raise InterruptedBySignal(signals.received, out / LAST)
        return self.progress

    def step(self) -> dict[str, float]:
        """Take one step; returns loss, learning rate and duration."""
        section = self.config.training
        started = time.perf_counter()
        batch, images, labels = self._next_batch()
        ready = time.perf_counter()
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        seed = _mixed(self.config.seed, self.progress.step)
        with _seeded(seed, self.device), autocast(section.precision, self.device):
            levels = self.network.levels(images)
        loss = self.loss.of_levels(levels, labels)
        if not math.isfinite(value := loss.item()):
            raise self._not_a_number(batch, "loss", value)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        limit = section.gradient_clip_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), limit).item()
        # Under float16 the scaler expects such gradients and skips their step.
        if not math.isfinite(norm) and not self.scaler.is_enabled():
            raise self._not_a_number(batch, "gradient", norm)
        rate = float(self.schedule.get_last_lr()[0])
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        self.progress.step += 1
        self.progress.losses.append(value)
        seconds = time.perf_counter() - started
        self.progress.seconds += seconds
        self.progress.step_seconds += seconds
        self.progress.data_seconds += ready - started
        return {"loss": value, "learning_rate": rate, "step_seconds": seconds}

    def state(self) -> dict[str, Any]:
        """Everything that the remaining steps depend on, as plain values."""
        return {
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": {"last_epoch": self.schedule.last_epoch},
            "scaler": self.scaler.state_dict(),
            "progress": asdict(self.progress),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken."""
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.last_epoch = state["schedule"]["last_epoch"]
        self.schedule._last_lr = [group["lr"] for group in self.optimizer.param_groups]
        self.scaler.load_state_dict(state["scaler"])
        self.progress = TrainingProgress(**state["progress"])

    def save(self, path: Path) -> None:
        """Write a checkpoint that predicts and that training can go on from."""
        weights = {name: value.detach().cpu() for name, value in self.model.state_dict().items()}
        name = self.config.network.name
        facts = {
            "version": __version__,
            "fold": self.fold,
            "network": name,
            "network_package": NETWORKS.package_of(name),
            "step": self.progress.step,
            "best_dice": self.progress.best_dice,
            "train": {case.name: case.key for case in self.train_cases},
            "val": {case.name: case.key for case in self.val_cases},
        }
        save_checkpoint(
            Checkpoint(as_yaml(without_places(self.config)), weights, self.state(), facts), path
        )

    def _next_batch(self) -> tuple[Batch, torch.Tensor, torch.Tensor]:
        section = self.config.training
        batch = self.sampler.batch(self.progress.step, section.batch_size)
        generator = torch.Generator().manual_seed(_mixed(self.config.seed, self.progress.step))
        images, labels = self._augmented(batch, generator)
        return batch, images.contiguous(memory_format=self.memory_format), labels

    def _augmented(
        self, batch: Batch, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        section = self.config.augmentation
        images, labels = batch.images.to(self.device), batch.labels.to(self.device)
        contrasts = len(self.config.data.contrasts)
        by_contrast = images.unflatten(1, (-1, contrasts))  # (N, 2k+1, C, H, W)
        axes = known_axes(self.config.preprocessing)
        if axes is not None:
            across = torch.tensor(axes)[batch.views]
            by_contrast, labels = mirror(by_contrast, labels, across, section, generator)
        images = drop_contrast(by_contrast, section, generator).flatten(1, 2)
        images, labels = augment(images, labels, section, generator)
        return self.additional(images, labels, generator)

    def _validation_is_due(self, steps: int) -> bool:
        # As many as configured, evenly spread, the last one at the last step.
        count, step = self.config.training.validations, self.progress.step
        return step * count // steps > (step - 1) * count // steps

    def _out_of_patience(self) -> bool:
        patience = self.config.training.patience
        return patience is not None and self.progress.validations_since_best >= patience

    def _validate(self, out: Path, observer: TrainingObserver) -> None:
        started = time.perf_counter()
        score = validate(self.model, self.val_cases, self.config, self.device)
        progress = self.progress
        improved = score.mean > progress.best_dice
        if improved:
            progress.best_dice, progress.best_step = score.mean, progress.step
        progress.validations_since_best = 0 if improved else progress.validations_since_best + 1
        progress.seconds += time.perf_counter() - started
        progress.history.append({"step": progress.step, "mean": score.mean, **score.dice})
        observer.on_validation(progress.step, score)
        if improved:
            self.save(out / BEST)
        self.save(out / LAST)
        write_text(
            out / "history.jsonl", "".join(json.dumps(row) + "\n" for row in progress.history)
        )

    def _not_a_number(self, batch: Batch, what: str, value: float) -> TrainingError:
        return TrainingError(
            f"step {self.progress.step + 1}",
            expected=f"a finite {what}",
            found=f"{value} on the batch of {', '.join(sorted(set(batch.cases)))}",
            remedy="check these cases with `slicewise check`, lower training.learning_rate or "
            "set training.precision to float32; the last checkpoint is intact",
        )


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from torch's global generator: lend it a seed, give it back afterwards."""
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def _mixed(seed: int, step: int) -> int:
    """One seed for torch from two numbers, different for every pair that occurs."""
    return (seed * 1_000_003 + step) % 2**63
