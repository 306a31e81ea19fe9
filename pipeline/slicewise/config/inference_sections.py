"""The sections about the way from slices to a mask."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from slicewise.config.base import MirrorAxis, NonNegativeFloat, Positive, PositiveFloat, Section


class PostprocessingSection(Section):
    """What becomes of the mask of one structure; all off leaves it as the network made it."""

    largest_component: bool = False
    """Keep the largest connected piece alone."""
    fill_holes: bool = False
    """Fill what a structure encloses."""
    minimum_volume_ml: NonNegativeFloat = 0.0
    """Remove connected components that are smaller."""


class SliceExclusiveSection(Section):
    """Neighbours that a protocol divides at a slice, so that no slice holds two of them."""

    plane: Literal["axial", "coronal", "sagittal"]
    """Of the slices, as the scan was acquired; of an oblique scan the nearest."""
    structures: Annotated[tuple[str, ...], Field(min_length=2)]
    """What is divided there."""


class DicePrediction(Section):
    """How the Dice of a case follows from the network's own probabilities, learned out of fold."""

    intercept: float
    """Dice where the probabilities promise none."""
    slope: float
    """Dice gained for each point that they promise."""
    error: NonNegativeFloat
    """Deviation of the true Dice from this line."""


class InferenceSection(Section):
    """From slices to a mask on the scan's grid."""

    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of a window that overlaps the next one; used where slices exceed the window."""
    batch_size: Positive = 64
    """Slices or windows at once."""
    mirror_axes: tuple[MirrorAxis, ...] = ()
    """Axes along which the scan is mirrored and predicted once more; right only where training
    mirrored, too, and where held-out cases got better."""
    temperature: PositiveFloat = 1.0
    """What the logarithms of the probabilities are divided by: above 1 makes them less sure."""
    slice_exclusive: tuple[SliceExclusiveSection, ...] = ()
    """Structures of which a slice of a plane holds one, as labels are drawn; all voxels of a slice
    go to the one that its probabilities favour together."""
    postprocessing: dict[str, PostprocessingSection] = Field(default_factory=dict)
    """Structure to what becomes of its mask; structures left out stay as predicted."""
    dice_prediction: dict[str, DicePrediction] = Field(default_factory=dict)
    """Structure to how its Dice is foretold; a cross-validation fills it in."""
