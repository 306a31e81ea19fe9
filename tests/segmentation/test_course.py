"""Budgets in minutes are kept on machines that other work slows down; repetitions repeat them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from slicewise.config import Config, TrainingSection, as_yaml, parse_config, with_overrides
from slicewise.segmentation.clocked_course import course_of
from slicewise.segmentation.course import Course
from slicewise.segmentation.optimization import learning_rate_factor


class Machine:
    """A clock, and other work that makes everything up to 12 times slower for a while."""

    def __init__(self, seed: int | None = None) -> None:
        self.now, self.worked = 0.0, 0.0
        self._random = random.Random(seed)
        self._until, self._factor = 0.0 if seed is not None else 1e9, 1.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float, until: float = 1e9) -> bool:
        """Whether work of so many seconds on an idle machine is done in time."""
        while seconds > 1e-12:
            if self.now >= self._until:
                longest = self._random.choice([5, 20, 60, 300])
                self._until = self.now + longest * self._random.random()
                self._factor = self._random.choice([1.0, 1.0, self._random.uniform(1, 12)])
            part = min(seconds, (min(self._until, until) - self.now) / self._factor + 1e-9)
            self.now += part * self._factor
            self.worked += part
            seconds -= part
            if self.now >= until:
                return False
        return True


@dataclass
class Trained:
    """What a simulated training has done."""

    course: Course
    steps: int = 0
    seconds: float = 0.0
    validating: float = 0.0
    rates: list[float] = field(default_factory=list)
    validations: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """Of a training, in seconds on an idle machine."""

    step: float = 0.5
    case: float = 0.5
    cases: int = 20


def train(
    course: Course, machine: Machine, work: Work, first: int = 0, last: float = 1e9
) -> Trained:
    """Steps and validations as ``Training`` takes them."""
    done, begun = Trained(course, first), machine.now
    course.begin()
    while not course.is_over(done.steps) and done.steps < last:
        done.rates.append(course.rate_factor(done.steps))
        machine.work(work.step)
        course.took_step()
        done.steps += 1
        order = course.validation(done.steps)
        if order is None:
            continue
        before = machine.now
        until = 1e9 if order.seconds is None else before + order.seconds
        cases = 0
        while cases < (order.cases or work.cases):
            is_needed = order.is_required and not cases
            if not machine.work(work.case, 1e9 if is_needed else until):
                break
            cases += 1
        course.validated(done.steps, cases)
        done.validations |= {done.steps: cases} if cases else {}
        done.validating += machine.now - before
    done.seconds = machine.now - begun
    return done


def section(**values: Any) -> TrainingSection:
    return TrainingSection.model_validate(values)


def simulated(seed: int) -> tuple[float, float, float]:
    """Time, steps and validation, as fractions of what was wanted."""
    draw = random.Random(seed)
    minutes = draw.uniform(3, 60)
    budget = 60 * minutes
    work = Work(budget / draw.uniform(300, 1200), budget * draw.choice([1e-5, 1e-4, 1e-3, 5e-3]))
    machine = Machine(seed)
    done = train(course_of(section(budget_minutes=minutes), machine), machine, work)
    # Whoever foresees all and validates as much has the rest of the budget for steps.
    free = Machine(seed)
    free.work(1e9, budget)
    possible = (free.worked - (machine.worked - done.steps * work.step)) / work.step
    return done.seconds / budget, done.steps / possible, done.validating / budget


@pytest.mark.fault(106, "OK")
def test_budgets_are_kept_while_other_work_starts_and_stops() -> None:
    found = [simulated(seed) for seed in range(100)]
    in_time = [0.9 <= seconds <= 1.1 for seconds, _, _ in found]
    assert sum(in_time) >= 95
    assert sum(steps >= 0.9 for _, steps, _ in found) >= 95
    assert max(validating for _, _, validating in found) < 0.101


@pytest.mark.fault(106, "OK")
@pytest.mark.parametrize("seed", [3, 4, 5, None])
def test_a_repetition_repeats_steps_rates_and_validations(seed: int | None) -> None:
    machine, work = Machine(seed), Work(0.7, 0.4)
    given = section(budget_minutes=5, schedule="polynomial")
    first = train(course_of(given, machine), machine, work)
    recorded = first.course.recorded(given, first.steps)
    assert recorded.steps == first.steps
    # What is written is what is read.
    config = Config.model_validate({"name": "a", "data": {}, "training": recorded.model_dump()})
    again = parse_config(as_yaml(config), "config.yaml").training
    assert again == recorded
    other = Machine()
    second = train(course_of(again, other), other, work)
    assert second.rates == first.rates
    assert second.validations == first.validations


@pytest.mark.fault(106, "OK")
def test_a_resumed_budget_goes_on_with_the_rest_of_its_time() -> None:
    machine, work, given = Machine(8), Work(0.5, 0.2), section(budget_minutes=6)
    begun = train(course_of(given, machine), machine, work, last=300)
    state, used = begun.course.state(), begun.seconds
    machine.work(1000)  # the pause
    resumed = course_of(given, machine)
    resumed.restore(state)
    rest = train(resumed, machine, work, first=300)
    assert used + rest.seconds == pytest.approx(360, rel=0.03)
    recorded = resumed.recorded(given, rest.steps)
    other = Machine()
    whole = train(course_of(recorded, other), other, work)
    assert whole.rates == begun.rates + rest.rates
    assert whole.validations == begun.validations | rest.validations


def test_on_an_idle_machine_the_schedule_is_that_of_the_same_steps() -> None:
    machine = Machine()
    done = train(course_of(section(budget_minutes=10), machine), machine, Work(0.5, 0.01))
    given = section(steps=done.steps)
    expected = [learning_rate_factor(given, step, done.steps) for step in range(done.steps)]
    assert done.rates == pytest.approx(expected, abs=0.05)
    assert done.rates[-1] < 0.001
    assert len(done.validations) == 10


def test_long_validations_become_fewer_and_the_last_one_stays() -> None:
    # 3 % of the budget each: three are less than a tenth of it.
    machine = Machine()
    done = train(course_of(section(budget_minutes=10), machine), machine, Work(0.5, 18 / 20))
    assert len(done.validations) == 3
    assert set(done.validations.values()) == {20}
    assert done.validating <= 60
    assert max(done.validations) == done.steps


def test_very_long_validations_score_fewer_cases() -> None:
    # All 20 cases are a third of the budget: 3 of 10 s are half of a tenth of it.
    machine = Machine()
    done = train(course_of(section(budget_minutes=10), machine), machine, Work(0.5, 9.9))
    assert set(done.validations.values()) <= {2, 3}
    assert done.seconds == pytest.approx(600, rel=0.02)


def test_a_single_case_that_takes_long_is_scored_once_at_the_end() -> None:
    machine = Machine()
    done = train(course_of(section(budget_minutes=10), machine), machine, Work(0.5, 70))
    assert done.validations == {done.steps: 1}


def test_without_held_out_cases() -> None:
    machine = Machine()
    done = train(course_of(section(budget_minutes=1), machine), machine, Work(0.5, cases=0))
    assert done.steps == 120
    assert done.seconds == 60


def test_what_was_spent_before_counts() -> None:
    machine = Machine()
    course = course_of(section(budget_minutes=1), machine)
    course.spend(20)
    assert train(course, machine, Work(0.5, 0.001)).seconds == pytest.approx(40, abs=1)


def test_the_expected_steps_follow_the_speed() -> None:
    machine = Machine()
    course = course_of(section(budget_minutes=10), machine)
    train(course, machine, Work(1.0, 0.001), last=30)
    assert course.expected_steps(30) == pytest.approx(600, rel=0.02)
    assert course.state_in_words(30).startswith("step 30, 0.0 of 10 minutes")


def test_another_budget_replaces_the_record() -> None:
    recorded = {"pace": [[0, 0.0, 0.1]], "validations": [[9, 2]]}
    values = {"name": "a", "data": {}, "training": {"steps": 9, "recorded": recorded}}
    config = parse_config(yaml.safe_dump(values), "config.yaml")
    assert config.training.recorded is not None
    for change in ("training.budget_minutes=5", "training.steps=20"):
        assert with_overrides(config, [change]).training.recorded is None


@pytest.mark.parametrize("pace", [[], [[1, 0.0, 0.1]], [[0, 0.0, 0.1], [0, 0.1, 0.1]], [[0, 2, 0]]])
def test_a_damaged_record_is_refused(pace: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="pace"):
        section(steps=9, recorded={"pace": pace})


def test_a_record_needs_its_steps() -> None:
    with pytest.raises(ValueError, match="recorded"):
        section(budget_minutes=9, recorded={"pace": [[0, 0.0, 0.1]]})
