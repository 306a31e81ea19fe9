"""The course of a training: when it ends, at which learning rate it goes on, when it is validated.

A number of steps is a course that is known from the beginning. A budget in minutes is kept by the
clock, and what the clock has decided is recorded, so that it can be repeated without a clock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slicewise.config import RecordedCourse, TrainingSection
from slicewise.segmentation.optimization import learning_rate_factor

Clock = Callable[[], float]
"""Seconds since some moment, such as ``time.monotonic``."""
TICKS = 10_000
"""Steps of the learning-rate schedule where it follows the share of the time that is used."""


@dataclass(frozen=True)
class ValidationOrder:
    """That a validation is due.

    Attributes:
        cases: number of cases; None scores as many as the time allows.
        seconds: after which no further case is scored; None is without end.
        is_required: whether at least one case is scored, however long it takes.
    """

    cases: int | None = None
    seconds: float | None = None
    is_required: bool = True

    def is_late(self, clock: Clock) -> Callable[[], bool]:
        """Tells from now on whether the time is over."""
        if self.seconds is None:
            return lambda: False
        end = clock() + self.seconds
        return lambda: clock() > end


class Course:
    """A number of steps, with validations spread evenly over them.

    Args:
        section: schedule, and number of validations.
        steps: in all.

    Attributes:
        is_clocked: whether a clock decides, so that two processes would not decide the same.
    """

    is_clocked = False

    def __init__(self, section: TrainingSection, steps: int) -> None:
        self._section, self._steps = section, steps

    def is_over(self, step: int) -> bool:
        """Whether no step follows after so many."""
        return step >= self._steps

    def rate_factor(self, step: int) -> float:
        """Share of the peak learning rate at a step, counted from 0; asked once a step."""
        return learning_rate_factor(self._section, step, self._steps)

    def validation(self, step: int) -> ValidationOrder | None:
        """What is due after so many steps: the last validation is at the last step."""
        count = self._section.validations
        is_due = step * count // self._steps > (step - 1) * count // self._steps
        return ValidationOrder() if is_due else None

    def expected_steps(self, step: int) -> int:
        """Steps in all, as far as is known after so many."""
        del step
        return self._steps

    def state_in_words(self, step: int) -> str:
        """Where the training is after so many steps."""
        return f"step {step} of {self._steps}"

    def spend(self, seconds: float) -> None:
        """Time was spent before the first step, for example on measuring."""

    def begin(self) -> None:
        """The training begins, or goes on."""

    def took_step(self) -> None:
        """A step was taken."""

    def validated(self, step: int, cases: int) -> None:
        """After so many steps, so many cases were scored."""

    def saved(self) -> None:
        """What belongs to a validation was saved."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to where ``state`` was taken."""

    def recorded(self, section: TrainingSection, step: int) -> TrainingSection:
        """The section that repeats what has happened in so many steps."""
        del step
        return section


class RepeatedCourse(Course):
    """The steps, learning rates and validations of a training that a clock has led."""

    def __init__(self, section: TrainingSection, steps: int, recorded: RecordedCourse) -> None:
        super().__init__(section, steps)
        self._pace, self._validations = recorded.pace, dict(recorded.validations)
        self._first_steps = [first for first, _, _ in recorded.pace]

    def rate_factor(self, step: int) -> float:
        """Of the share of the time that had been used."""
        at = bisect_right(self._first_steps, step) - 1
        return rate_factor_at(self._section, share_of_time(self._pace[at], step))

    def validation(self, step: int) -> ValidationOrder | None:
        """At the recorded steps, with the recorded number of cases."""
        cases = self._validations.get(step)
        return None if cases is None else ValidationOrder(cases)


def share_of_time(stretch: Sequence[float], step: int) -> float:
    """Share of the time that is used before a step of a stretch, in [0, 1].

    Args:
        stretch: first step, share before it, share per step.
        step: counted from 0.
    """
    first, share, rate = stretch
    return min(round(share + (step - first) * rate, 6), 1.0)


def rate_factor_at(section: TrainingSection, share: float) -> float:
    """Share of the peak learning rate when a share of the time is used."""
    return learning_rate_factor(section, share * TICKS, TICKS)
