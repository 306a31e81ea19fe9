"""Sections of a sweep: trials, sampler, pruner and search space."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from slicewise.config.base import Positive, PositiveFloat, Section

_WHOLE = 1e-9

Finite = Annotated[float, Field(allow_inf_nan=False)]


class ParameterSection(Section):
    """Search space of one key: a range of numbers, or choices."""

    low: Finite | None = None
    """Smallest number."""
    high: Finite | None = None
    """Largest number."""
    log: bool = False
    """Sample uniformly on a logarithmic scale."""
    step: PositiveFloat | None = None
    """Distance between the numbers that are sampled; null samples any between the two."""
    choices: tuple[Any, ...] | None = None
    """Values of any type, including lists."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        low, high = self.low, self.high
        if self.choices is not None and low is None and high is None:
            return self._checked_choices(self.choices)
        if self.choices is None and low is not None and high is not None:
            return self._checked_range(low, high)
        raise ValueError("either low and high, or choices")

    def _checked_choices(self, choices: tuple[Any, ...]) -> Self:
        if self.log or self.step is not None:
            raise ValueError("log and step with low and high, not with choices")
        if len(choices) < 2 or len({repr(choice) for choice in choices}) < len(choices):
            raise ValueError("two or more different values as choices")
        return self

    def _checked_range(self, low: float, high: float) -> Self:
        if low >= high:
            raise ValueError("low less than high")
        if self.log and (low <= 0 or self.step is not None):
            raise ValueError("low above 0 and no step with log")
        if self.step is not None:
            steps = (high - low) / self.step
            if not math.isclose(steps, round(steps), rel_tol=0, abs_tol=_WHOLE) or steps < 1:
                raise ValueError("a whole number of steps from low to high")
        return self


class PrunerSection(Section):
    """Which trials are stopped early."""

    kind: Literal["median", "none"] = "median"
    """``median`` stops a trial whose Dice is below the median of earlier trials at the same
    validation."""
    warmup_trials: Annotated[int, Field(ge=0)] = 5
    """Completed trials before the first one is stopped."""
    warmup_validations: Annotated[int, Field(ge=0)] = 1
    """Validations of each trial before it can be stopped."""


class SweepSection(Section):
    """A sweep; the best trial has the highest mean validation Dice."""

    trials: Positive | None = None
    """Number of trials, including failed ones."""
    minutes: PositiveFloat | None = None
    """Budget of the whole sweep; no trial is started that would exceed it."""
    sampler: Literal["tpe", "random"] = "tpe"
    """``tpe`` samples where earlier trials did well. Seeded by the seed of the configuration."""
    pruner: PrunerSection = PrunerSection()
    parameters: dict[str, ParameterSection]
    """Search space of each key of the configuration, such as ``training.learning_rate``."""

    @field_validator("parameters")
    @classmethod
    def _some(cls, parameters: dict[str, ParameterSection]) -> dict[str, ParameterSection]:
        if not parameters:
            raise ValueError("at least one key")
        return parameters

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.trials is None and self.minutes is None:
            raise ValueError("trials, minutes, or both")
        return self
