"""A configuration: frozen, typed, one sentence a field, one place a default."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import Field, model_validator

from slicewise.config.base import NAME, NonNegativeFloat, Section, Seed
from slicewise.config.data_sections import DataSection, PreprocessingSection
from slicewise.config.inference_sections import InferenceSection
from slicewise.config.scan_sections import ReadingSection, StructureSection
from slicewise.config.training_sections import AugmentationSection, NetworkSection, TrainingSection


class TrackingSection(Section):
    """Names under which MLflow keeps the run and the model."""

    experiment: str = "slicewise"
    """MLflow experiment that holds the runs."""
    model_name: Annotated[str, Field(pattern=NAME)] | None = None
    """Registered model; empty takes the name of the configuration."""
    promotion_margin: NonNegativeFloat = 0.005
    """Dice that a challenger may lose and still count as not worse than the champion: the lower
    end of the 95 % interval of the difference must lie above minus the margin."""


class Config(Section):
    """One experiment."""

    name: Annotated[str, Field(pattern=NAME)]
    """Short name: letters, digits, dot, dash and underscore."""
    seed: Seed = 0
    """The one seed of weights, sampling and augmentation."""
    data: DataSection
    reading: ReadingSection = ReadingSection()
    structures: dict[str, StructureSection] = Field(default_factory=dict)
    """Colours and codes of the structures of ``data.labels``; those left out take defaults."""
    preprocessing: PreprocessingSection = PreprocessingSection()
    network: NetworkSection = NetworkSection()
    training: TrainingSection
    augmentation: AugmentationSection = AugmentationSection()
    inference: InferenceSection = InferenceSection()
    tracking: TrackingSection = TrackingSection()

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
                raise ValueError(f"{key} needs names of data.labels, not {unknown}")
        return self

    @model_validator(mode="after")
    def _mirrored_axes_are_known(self) -> Self:
        if self.augmentation.mirror_axes and self.preprocessing.plane == "thickest":
            raise ValueError(
                "augmentation.mirror_axes needs preprocessing.plane to name a plane or all: with "
                "thickest, each scan is cut along its own"
            )
        return self

    @model_validator(mode="after")
    def _another_contrast_is_left(self) -> Self:
        if self.augmentation.contrast_dropout_probability > 0 and len(self.data.contrasts) == 1:
            raise ValueError(
                "augmentation.contrast_dropout_probability needs several data.contrasts: the first "
                "is never dropped"
            )
        return self

    @property
    def in_channels(self) -> int:
        """Input channels: every contrast with its neighbours."""
        return len(self.data.contrasts) * (2 * self.network.context_slices + 1)

    @property
    def out_channels(self) -> int:
        """One with a sigmoid for a binary task, otherwise one a class and one for background."""
        return 1 if len(self.data.labels) == 1 else len(self.data.labels) + 1

    @property
    def model_name(self) -> str:
        """Name of the registered model."""
        return self.tracking.model_name or self.name
