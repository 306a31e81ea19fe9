"""The section about augmentation."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializeAsAny, ValidationError, ValidationInfo, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from slicewise.config.base import Fraction, MirrorAxis, NonNegativeFloat, Range, Section
from slicewise.config.extensions import AUGMENTATIONS, joined, validated, within


class AugmentationSection(Section):
    """Random augmentation of the training windows; a probability of 0 disables a transform."""

    affine_probability: Fraction = 0.5
    """Rotation, scaling and translation."""
    rotation_degrees: NonNegativeFloat = 15.0
    """Maximum in-plane rotation."""
    scale_range: Range = (0.85, 1.18)
    """Minimum and maximum scale factor."""
    translation_fraction: Fraction = 0.05
    """Maximum translation as a fraction of the window."""
    elastic_probability: Fraction = 0.2
    """Elastic deformation."""
    elastic_pixels: NonNegativeFloat = 2.0
    """Standard deviation of the displacement of the control points."""
    intensity_probability: Fraction = 0.3
    """Intensity shift and scaling."""
    intensity_range: NonNegativeFloat = 0.2
    """Maximum relative scaling, and maximum shift in standard deviations of the volume."""
    noise_probability: Fraction = 0.2
    """Gaussian noise."""
    noise_deviation: NonNegativeFloat = 0.1
    """Maximum standard deviation of the noise, in standard deviations of the volume."""
    gamma_probability: Fraction = 0.2
    """Gamma correction over the intensity range of the window."""
    gamma_range: Range = (0.7, 1.5)
    """Minimum and maximum exponent."""
    bias_field_probability: Fraction = 0.2
    """Smooth multiplicative bias field, as from the sensitivity of a coil."""
    bias_field_strength: NonNegativeFloat = 0.3
    """Standard deviation of the logarithm of the field at its control points."""
    low_resolution_probability: Fraction = 0.0
    """Simulated lower resolution along one axis of the plane."""
    low_resolution_factor: Range = (1.0, 2.0)
    """Minimum and maximum downsampling factor."""
    ghosting_probability: Fraction = 0.0
    """Ghosting along one axis, as from periodic motion such as breathing."""
    ghosting_strength: NonNegativeFloat = 0.3
    """Maximum fraction of the signal that periodic lines of k-space lose; it is divided among 2 to
    6 ghosts."""
    motion_probability: Fraction = 0.0
    """A single rigid shift during the acquisition of k-space."""
    motion_pixels: NonNegativeFloat = 2.0
    """Maximum shift."""
    contrast: Literal["off", "robust", "synthetic"] = "off"
    """Other contrasts than that of the data: ``robust`` maps the intensities of half of the windows
    by random curves; ``synthetic`` draws half of the windows from their label maps as well. For
    scans of contrasts that the training data lack."""
    contrast_dropout_probability: Fraction = 0.0
    """Replacement of one contrast by zeros, so that scans without it can be predicted."""
    mirror_axes: tuple[MirrorAxis, ...] = ()
    """Axes along which half of the windows are mirrored; only where anatomy looks the same."""
    additional: dict[str, SerializeAsAny[Section]] = Field(default_factory=dict)
    """Augmentations of other packages, each with its options; applied last, in this order."""

    @field_validator("additional", mode="plain")
    @classmethod
    def _options_of_each(cls, values: Any, info: ValidationInfo) -> dict[str, Any]:
        if not isinstance(values, dict):
            raise ValueError("names of augmentations, each with its options")  # noqa: TRY004
        found: dict[str, Any] = {}
        mistakes: list[InitErrorDetails] = []
        for name, options in values.items():
            try:
                found[str(name)] = validated(AUGMENTATIONS, str(name), options, info)
            except ValidationError as error:
                mistakes.extend(within(str(name), error))
            except PydanticCustomError as error:
                mistakes.append(InitErrorDetails(type=error, loc=(str(name),), input=options))
        joined(mistakes)
        return found

    @field_validator("contrast", mode="before")
    @classmethod
    def _off_without_quotes(cls, value: Any) -> Any:
        # YAML reads it as false.
        return "off" if value is False else value

    @field_validator("scale_range", "gamma_range")
    @classmethod
    def _ascending(cls, bounds: Range) -> Range:
        if bounds[0] > bounds[1]:
            raise ValueError("a first value that does not exceed the second")
        return bounds
