"""What all sections of a configuration share: their base class and the types of their fields."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Range = tuple[PositiveFloat, PositiveFloat]
Seed = Annotated[int, Field(ge=0, lt=2**32)]

MirrorAxis = Literal["left_right", "front_back", "up_down"]
"""Axes of the body, in the order of RAS."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""Names that are safe as files and in MLflow."""


class Section(BaseModel):
    """Base of all sections: unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
