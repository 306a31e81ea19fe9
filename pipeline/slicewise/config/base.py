"""Base class and field types of the sections of a configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_LEVELS = 16
"""Each level of a network halves the slices; none is wider than 2 to the power of this."""
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0, lt=2**31)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Range = tuple[PositiveFloat, PositiveFloat]
Seed = Annotated[int, Field(ge=0, lt=2**32)]

MirrorAxis = Literal["left_right", "front_back", "up_down"]
"""Axes of the body, in RAS order."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""Names that are safe as file names and in MLflow."""


class Contradiction(ValueError):
    """Keys that do not go together.

    Args:
        expected: of these keys.
        found: instead.
    """

    def __init__(self, expected: str, found: str) -> None:
        self.found = found
        super().__init__(expected)


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, and instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)
