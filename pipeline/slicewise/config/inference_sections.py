"""Sections about inference: from slices to a mask."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from slicewise.config.base import MirrorAxis, NonNegativeFloat, PositiveFloat, Section


class PostprocessingSection(Section):
    """Post-processing of the mask of one structure; everything is off by default."""

    largest_component: bool = False
    """Keep only the largest connected component."""
    fill_holes: bool = False
    """Fill holes that are enclosed by the structure."""
    minimum_volume_ml: NonNegativeFloat = 0.0
    """Remove connected components that are smaller."""


class SliceExclusiveSection(Section):
    """Neighbouring structures that never share a slice, as the labelling protocol requires."""

    plane: Literal["axial", "coronal", "sagittal"]
    """Plane of these slices; for an oblique scan, the nearest one."""
    structures: Annotated[tuple[str, ...], Field(min_length=2)]
    """Names of the structures."""


class DicePrediction(Section):
    """Linear regression of the Dice of a case on its model-estimated Dice, fitted out of fold."""

    intercept: float
    """Predicted Dice at an estimated Dice of 0."""
    slope: float
    """Increase of the predicted Dice per unit of the estimated Dice."""
    error: NonNegativeFloat
    """Standard deviation of the residuals."""


class InferenceSection(Section):
    """From slices to a mask on the grid of the scan."""

    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Fraction of a sliding window that overlaps the next; used for slices larger than the
    window."""
    batch_size: Annotated[int, Field(gt=0, le=65536)] = 64
    """Number of windows in a batch; a slice that fits into the window is one."""
    mirror_axes: tuple[MirrorAxis, ...] = ()
    """Axes along which the scan is mirrored for test-time augmentation; only useful when training
    mirrors, too, and held-out cases improve."""
    temperature: PositiveFloat = 1.0
    """Temperature that divides the logits: above 1, probabilities are less confident."""
    slice_exclusive: tuple[SliceExclusiveSection, ...] = ()
    """Structures that never share a slice of a plane; all of their voxels in a slice get the label
    with the highest joint probability."""
    postprocessing: dict[str, PostprocessingSection] = Field(default_factory=dict)
    """Post-processing by structure; other structures are left as predicted."""
    dice_prediction: dict[str, DicePrediction] = Field(default_factory=dict)
    """Dice prediction by structure; cross-validation fits it."""
