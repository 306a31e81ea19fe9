"""The sections of a sweep: how many trials, how they are drawn, and between which values."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from slicewise.config.base import Positive, PositiveFloat, Section

_WHOLE = 1e-9

Finite = Annotated[float, Field(allow_inf_nan=False)]


class ParameterSection(Section):
    """Values of one key: a range of numbers, or choices."""

    low: Finite | None = None
    """Smallest number."""
    high: Finite | None = None
    """Largest number."""
    log: bool = False
    """Draw the logarithm evenly."""
    step: PositiveFloat | None = None
    """Distance between the numbers that are drawn; empty draws any between the two."""
    choices: tuple[Any, ...] | None = None
    """Values of any kind, lists too."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        low, high = self.low, self.high
        if self.choices is not None and low is None and high is None:
            return self._checked_choices(self.choices)
        if self.choices is None and low is not None and high is not None:
            return self._checked_range(low, high)
        raise ValueError("give either low and high, or choices")

    def _checked_choices(self, choices: tuple[Any, ...]) -> Self:
        if self.log or self.step is not None:
            raise ValueError("log and step belong to low and high, not to choices")
        if len(choices) < 2 or len({repr(choice) for choice in choices}) < len(choices):
            raise ValueError("choices are two or more different values")
        return self

    def _checked_range(self, low: float, high: float) -> Self:
        if low >= high:
            raise ValueError("low must lie below high")
        if self.log and (low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0, and no step")
        if self.step is not None:
            steps = (high - low) / self.step
            if not math.isclose(steps, round(steps), rel_tol=0, abs_tol=_WHOLE) or steps < 1:
                raise ValueError("high must be low and a whole number of steps")
        return self


class PrunerSection(Section):
    """Which trials end before their last step."""

    kind: Literal["median", "none"] = "median"
    """``median`` ends a trial whose Dice is below the median of earlier trials at that
    validation."""
    warmup_trials: Annotated[int, Field(ge=0)] = 5
    """Complete trials before the first is ended."""
    warmup_validations: Annotated[int, Field(ge=0)] = 1
    """Validations of each trial that cannot end it."""


class SweepSection(Section):
    """One sweep; what is best has the highest mean validation Dice."""

    trials: Positive | None = None
    """Trials in all; those that failed count."""
    minutes: PositiveFloat | None = None
    """Budget of the whole sweep; no trial begins that would not fit."""
    sampler: Literal["tpe", "random"] = "tpe"
    """``tpe`` draws where earlier trials were good. The seed of the configuration is its seed."""
    pruner: PrunerSection = PrunerSection()
    parameters: dict[str, ParameterSection]
    """Dotted key of the configuration to its values."""

    @field_validator("parameters")
    @classmethod
    def _some(cls, parameters: dict[str, ParameterSection]) -> dict[str, ParameterSection]:
        if not parameters:
            raise ValueError("needs at least one key")
        return parameters

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.trials is None and self.minutes is None:
            raise ValueError("give trials, minutes, or both")
        return self
