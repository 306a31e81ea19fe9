"""The configuration of an experiment: frozen and typed, with one default a field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from slicewise.config.augmentation_section import AugmentationSection
from slicewise.config.base import NAME, Contradiction, NonNegativeFloat, Section, Seed
from slicewise.config.data_sections import DataSection, PreprocessingSection
from slicewise.config.inference_sections import InferenceSection
from slicewise.config.mistakes import Origin, mistake
from slicewise.config.scan_sections import ReadingSection, StructureSection
from slicewise.config.training_sections import (
    BUDGET_MINUTES,
    BUDGETS,
    NetworkSection,
    TrainingSection,
)
from slicewise.errors import ConfigError, ConfigErrors


class TrackingSection(Section):
    """Names of the experiment and the registered model in MLflow."""

    experiment: Annotated[str, Field(min_length=1)] = "slicewise"
    """MLflow experiment of the runs."""
    model_name: Annotated[str, Field(pattern=NAME)] | None = None
    """Name of the registered model; null takes the name of the configuration."""
    promotion_margin: NonNegativeFloat = 0.005
    """Non-inferiority margin of the challenger in Dice: the lower bound of the 95 % confidence
    interval of the difference must be above minus the margin."""


class Config(Section):
    """One experiment."""

    name: Annotated[str, Field(pattern=NAME)]
    """Short name: letters, digits, dot, dash and underscore."""
    seed: Seed = 0
    """Seed of the weights, the sampling and the augmentation."""
    data: DataSection
    reading: ReadingSection = ReadingSection()
    structures: dict[str, StructureSection] = Field(default_factory=dict)
    """Colours and codes of the structures of ``data.labels``; others take defaults."""
    preprocessing: PreprocessingSection = PreprocessingSection()
    network: NetworkSection = NetworkSection()
    training: TrainingSection
    augmentation: AugmentationSection = AugmentationSection()
    inference: InferenceSection = InferenceSection()
    tracking: TrackingSection = TrackingSection()

    @classmethod
    def defaults(
        cls, name: str = "defaults", *, labels: Mapping[str, int] | None = None, **sections: Any
    ) -> Self:
        """A complete configuration without a file: all keys that are not given take defaults.

        Args:
            name: of the run.
            labels: structure name to its value in the label files.
            sections: section name to its keys, for example ``training={"epochs": 5}``. Without a
                budget, training lasts 30 minutes.

        Raises:
            ConfigErrors: unknown keys and wrong values.

        Example:
            >>> config = Config.defaults("csf", labels={"csf": 1}, data={"root": "scans"})
            >>> config.training.budget_minutes
            30.0
        """
        data = {"labels": labels or {}} | sections.get("data", {})
        training = dict(sections.get("training", {}))
        if not any(key in training for key in BUDGETS):
            training["budget_minutes"] = BUDGET_MINUTES
        values = {"name": name, **sections, "data": data, "training": training}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            origin = Origin(cls, {}, name)
            raise ConfigErrors([mistake(detail, origin) for detail in error.errors()]) from None

    @model_validator(mode="after")
    def _structures_are_labels(self) -> Self:
        named: tuple[tuple[str, Iterable[str]], ...] = (
            ("structures", self.structures),
            ("inference.postprocessing", self.inference.postprocessing),
            ("inference.dice_prediction", self.inference.dice_prediction),
            *(
                ("inference.slice_exclusive", item.structures)
                for item in self.inference.slice_exclusive
            ),
        )
        for key, section in named:
            if unknown := sorted(set(section) - set(self.data.labels)):
                raise Contradiction(f"names of data.labels in {key}", f"also {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _mirrored_axes_are_known(self) -> Self:
        if self.augmentation.mirror_axes and self.preprocessing.plane == "thickest":
            raise Contradiction(
                "preprocessing.plane that names a plane, or all, with augmentation.mirror_axes",
                "thickest, with which each scan is cut along its own plane",
            )
        return self

    @model_validator(mode="after")
    def _nothing_is_mirrored_with_coordinates(self) -> Self:
        if not self.network.coordinates:
            return self
        for key, axes in (
            ("augmentation.mirror_axes", self.augmentation.mirror_axes),
            ("inference.mirror_axes", self.inference.mirror_axes),
        ):
            if axes:
                raise Contradiction(
                    f"no {key} with network.coordinates, which tell sides apart", ", ".join(axes)
                )
        return self

    @model_validator(mode="after")
    def _another_contrast_is_left(self) -> Self:
        if self.augmentation.contrast_dropout_probability > 0 and len(self.data.contrasts) == 1:
            raise Contradiction(
                "several data.contrasts with augmentation.contrast_dropout_probability",
                "one, and the first is never dropped",
            )
        return self

    @property
    def in_channels(self) -> int:
        """Number of input channels: each contrast with its context slices, and coordinates."""
        intensities = len(self.data.contrasts) * (2 * self.network.context_slices + 1)
        return intensities + self.coordinate_channels

    @property
    def coordinate_channels(self) -> int:
        """Number of the last input channels that are coordinates."""
        return 3 if self.network.coordinates else 0

    @property
    def out_channels(self) -> int:
        """Number of output channels: 1 (sigmoid) for one structure, else one per class."""
        return 1 if len(self.data.labels) == 1 else len(self.data.labels) + 1

    @property
    def model_name(self) -> str:
        """Name of the registered model."""
        return self.tracking.model_name or self.name

    def require_structures(self) -> None:
        """Refuse a configuration that names no structure.

        Raises:
            ConfigError: ``data.labels`` is empty.
        """
        if not self.data.labels:
            raise ConfigError(
                "data.labels",
                expected="at least one structure with its value",
                found="no structure",
                remedy="for example: labels: {lesion: 1}",
            )
