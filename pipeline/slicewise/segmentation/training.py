"""The training loop, which can be interrupted and resumed exactly."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from slicewise import __version__
from slicewise.config import NETWORKS, Config, as_yaml, without_places
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.training_spacing import TrainingSpacing
from slicewise.imaging.files import write_text
from slicewise.interruption import SignalReceived, interruptible, uninterrupted
from slicewise.segmentation.checkpoint import BEST, LAST, SPACING, Checkpoint, save_checkpoint
from slicewise.segmentation.course import Clock, ValidationOrder
from slicewise.segmentation.memory import memory_for_training
from slicewise.segmentation.process_group import ALONE, ProcessGroup, ProcessLostError
from slicewise.segmentation.training_progress import TrainingObserver, TrainingProgress, Unobserved
from slicewise.segmentation.training_steps import TrainingSteps
from slicewise.segmentation.validation import ValidationScore, spread, validate

SECONDS_BETWEEN_CHECKPOINTS = 300.0
"""A killed run loses at most this, or the time since its last validation."""


class Training(TrainingSteps):
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
        super().__init__(config, train, fold, initial, clock, group)
        self.val_cases = val
        self._saved_step = -1

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken."""
        super().restore(state)
        self._saved_step = self.progress.step

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
        return self.decided(lambda: self.course.validation(step)) if step else None

    @property
    def _is_done(self) -> bool:
        is_over = self.decided(lambda: self.course.is_over(self.progress.step))
        return is_over or self._out_of_patience()

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
            loss = self.backward()
            with uninterrupted():
                observer.on_step(step + 1, self.update(loss))
        except (SignalReceived, ProcessLostError):
            if self.progress.step == step:
                for buffer, before in zip(self.network.buffers(), buffers, strict=True):
                    buffer.copy_(before)
            raise

    def save(self, path: Path) -> None:
        """Write a checkpoint that predicts and that training can go on from."""
        if self.group.is_first:
            save_checkpoint(self._checkpoint(), path)
        if path.name == LAST:
            self._saved_step = self.progress.step

    def _checkpoint(self) -> Checkpoint:
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
            SPACING: None if self._spacing is None else asdict(self._spacing),
        }
        return Checkpoint(as_yaml(without_places(self.config)), weights, self.state(), facts)

    @cached_property
    def _spacing(self) -> TrainingSpacing | None:
        measured = [case.facts.measurements for case in self.train_cases]
        return TrainingSpacing.of(measured, self.config.preprocessing)

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
            is_late=order.is_late(self.clock),
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
