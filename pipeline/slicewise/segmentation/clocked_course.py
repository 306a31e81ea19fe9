"""The course of a training that keeps a budget in minutes, whatever else the machine does."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from slicewise.config import RecordedCourse, TrainingSection
from slicewise.segmentation.course import (
    TICKS,
    Clock,
    Course,
    RepeatedCourse,
    ValidationOrder,
    rate_factor_at,
    share_of_time,
)

MAX_VALIDATION_FRACTION = 0.1
"""Largest fraction of a budget in minutes that is spent on validation."""
_STRETCH_FRACTION = 0.01
"""Fraction of the budget after which the speed is measured again, ..."""
_DRIFT_FRACTION = 0.005
"""... or earlier, when the clock is this fraction of the budget away from what was expected."""
_LATEST = 3
"""Steps whose mean tells how long the next one takes."""
_LAST_VALIDATION_LATE = 0.03
"""Fraction of the budget by which the last validation may exceed it."""


@dataclass
class _Record:
    """What the clock has decided so far.

    Attributes:
        pace: stretches: first step, share of the time used before it, share per step.
        validations: step and number of cases of each.
        cases: number of cases of a validation; 0 until the first has shown how many there is time
            for.
        seconds: that are used, in all sessions.
        validating: of these, those spent on validation.
        step_seconds: recent duration of a step; 0 before the first.
        validation_seconds: duration of a validation; 0 before the first, ...
        validated_at: ... and of a step at that time.
        last_try: share of the time used at the last validation.
    """

    pace: list[list[float]] = field(default_factory=list)
    validations: list[list[int]] = field(default_factory=list)
    cases: int = 0
    seconds: float = 0.0
    validating: float = 0.0
    step_seconds: float = 0.0
    validation_seconds: float = 0.0
    validated_at: float = 0.0
    last_try: float = 0.0


class ClockedCourse(Course):
    """Steps until a budget in minutes is used up.

    The learning rate follows the share of the time that is used. It does so in stretches of
    constant speed, so that it can be recorded: at the end of a stretch, or when the clock is far
    from what was expected, the rest of the schedule is spread evenly over the rest of the time.

    Args:
        section: schedule, and number of validations.
        budget_minutes: in all.
        clock: that keeps it.
    """

    is_clocked = True

    def __init__(self, section: TrainingSection, budget_minutes: float, clock: Clock) -> None:
        super().__init__(section, 0)
        self.budget_seconds = 60 * budget_minutes
        self._clock = clock
        self._record = _Record()
        self._begun = self._looked = clock()
        self._end_of_stretch, self._expected_seconds = 0, 0.0
        self._stretch: list[float] = []
        self._has_ended = False

    @property
    def seconds(self) -> float:
        """Used so far, in all sessions."""
        return self._record.seconds + self._clock() - self._begun

    def state_in_words(self, step: int) -> str:
        """With the time that is used."""
        used, budget = self._record.seconds / 60, self.budget_seconds / 60
        return f"step {step}, {used:.1f} of {budget:g} minutes used"

    def spend(self, seconds: float) -> None:
        """It counts."""
        self._record.seconds += seconds

    def begin(self) -> None:
        """The clock runs from now on."""
        self._begun = self._clock()
        self._lap()

    def is_over(self, step: int) -> bool:
        """Whether there is no time for another step."""
        if not self._has_ended and step > 0:
            latest = statistics.fmean(self._stretch[-_LATEST:] or [self._record.step_seconds])
            self._has_ended = self._left_for_steps(step) < latest / 2
        return self._has_ended

    def rate_factor(self, step: int) -> float:
        """Of the share of the time that is used."""
        self._look_at_clock(step)
        return rate_factor_at(self._section, self._share(step))

    def validation(self, step: int) -> ValidationOrder | None:
        """Due at shares of the time, as long as a tenth of it suffices; and at the end."""
        record, left = self._record, self._validation_left()
        cases, is_required = record.cases or None, not record.validations
        if self.is_over(step):
            late = (1 + _LAST_VALIDATION_LATE) * self.budget_seconds - self.seconds
            return ValidationOrder(cases, min(left, late), is_required)
        share = self._share(step)
        spacing, cost = 1 / self._section.validations, self._validation_cost()
        if cost > 0:
            # The last one is among those that there is time for.
            spacing = max(spacing, (1 - record.last_try) / max(left // cost, 1))
        is_due = share >= record.last_try + spacing - 1 / TICKS and 1 - share >= spacing / 2
        # The first one shows how many cases there is time for; the last one will need as much.
        seconds = left - cost if cost > 0 else left / 2
        return ValidationOrder(cases, seconds, is_required=False) if is_due else None

    def expected_steps(self, step: int) -> int:
        """Those taken, and those that there is time for at the present speed."""
        if not self._record.step_seconds:
            return step + 1
        return step + max(round(self._left_for_steps(step) / self._record.step_seconds), 0)

    def took_step(self) -> None:
        """Measure it, with whatever came between the last one and it."""
        self._stretch.append(self._lap())
        if len(self._stretch) >= _LATEST or not self._record.step_seconds:
            self._record.step_seconds = statistics.fmean(self._stretch)

    def validated(self, step: int, cases: int) -> None:
        """Measure what it took."""
        record, seconds = self._record, self._lap()
        record.validating += seconds
        record.last_try = self._share(step)
        if cases:
            record.validations.append([step, cases])
            record.cases = record.cases or cases
            record.validation_seconds = seconds
            record.validated_at = record.step_seconds

    def saved(self) -> None:
        """Count it as a part of the validation."""
        seconds = self._lap()
        self._record.validating += seconds
        self._record.validation_seconds += seconds

    def state(self) -> dict[str, Any]:
        """The record up to now."""
        return asdict(self._record) | {"seconds": self.seconds}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a record; the pause does not count."""
        self._record = _Record(**state)
        self._end_of_stretch, self._stretch = 0, []
        self.begin()

    def recorded(self, section: TrainingSection, step: int) -> TrainingSection:
        """The same number of steps, in the same stretches."""
        pace = [(int(first), share, rate) for first, share, rate in self._record.pace]
        validations = [(at, cases) for at, cases in self._record.validations]
        course = RecordedCourse(
            pace=tuple(item for item in pace if item[0] < step) or ((0, 0.0, 0.0),),
            validations=tuple(validations),
        )
        changes = {"steps": step, "budget_minutes": None, "recorded": course}
        return section.model_copy(update=changes)

    def _share(self, step: int) -> float:
        return share_of_time(self._record.pace[-1], step) if self._record.pace else 0.0

    def _lap(self) -> float:
        """Seconds since the last lap."""
        before, self._looked = self._looked, self._clock()
        return self._looked - before

    def _look_at_clock(self, step: int) -> None:
        """Begin another stretch where one has ended, or where it goes otherwise than expected."""
        drift = abs(sum(self._stretch) - len(self._stretch) * self._expected_seconds)
        is_off = drift > max(_DRIFT_FRACTION * self.budget_seconds, self._expected_seconds)
        if self._record.pace and step < self._end_of_stretch and not is_off:
            return
        if self._stretch:
            # After a change, what came last tells more than the mean.
            latest = self._stretch[-_LATEST:] if is_off else self._stretch
            self._record.step_seconds = statistics.fmean(latest)
        self._stretch = []
        pace = self._expected_seconds = self._record.step_seconds
        share = self._share(step)
        left = self._left_for_steps(step)
        steps, rate = 1, 0.0
        if pace:
            ahead = max(left / pace, 1.0)
            steps = max(1, int(min(_STRETCH_FRACTION * self.budget_seconds / pace, ahead / 4)))
            rate = (1 - share) / ahead
        self._end_of_stretch = step + steps
        if self._record.pace and self._record.pace[-1][0] == step:
            # It was decided before the training was interrupted.
            self._record.pace.pop()
        self._record.pace.append([step, share, float(f"{rate:.4g}")])

    def _left_for_steps(self, step: int) -> float:
        """Seconds of the budget without those of validations to come."""
        share = self._share(step)
        count = max(1, math.ceil((1 - share) * self._section.validations))
        reserved = min(count * self._validation_cost(), max(self._validation_left(), 0.0))
        return self.budget_seconds - self.seconds - reserved

    def _validation_left(self) -> float:
        return MAX_VALIDATION_FRACTION * self.budget_seconds - self._record.validating

    def _validation_cost(self) -> float:
        """Seconds of a validation, if it has become slower like the steps."""
        record = self._record
        slower = record.step_seconds / record.validated_at if record.validated_at else 1.0
        return record.validation_seconds * slower


def course_of(section: TrainingSection, clock: Clock = time.monotonic) -> Course:
    """The course that a configuration asks for; epochs have become steps before."""
    if section.budget_minutes is not None:
        return ClockedCourse(section, section.budget_minutes, clock)
    assert section.steps is not None, "epochs become steps first"
    if section.recorded is not None:
        return RepeatedCourse(section, section.steps, section.recorded)
    return Course(section, section.steps)
