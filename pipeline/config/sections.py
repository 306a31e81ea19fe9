"""The sections of a configuration: frozen, typed, one sentence a field, one place a default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.config.base import (
    NAME,
    Fraction,
    NonNegativeFloat,
    Positive,
    PositiveFloat,
    Range,
    Section,
    Seed,
)
from pipeline.config.scan_sections import ReadingSection, StructureSection


class DataSection(Section):
    """Where the scans lie, what their labels mean, and who the patients are."""

    root: Path | None = None
    """Folder (or CSV manifest) of the data set; a relative path starts at the working directory."""
    layout: Literal["auto", "decathlon", "nnunet", "pair", "csv", "dicom"] = "auto"
    """How the folder is arranged; ``auto`` recognises it."""
    images: str | None = None
    """Layout ``pair``: folder of images below the root; empty means the usual names."""
    labels_folder: str | None = None
    """Layout ``pair``: folder of labels below the root; empty means the usual names."""
    contrasts: tuple[str, ...] = ("image",)
    """Contrasts of a case in the order of the input channels; all on one grid."""
    labels: dict[str, Positive] = Field(default_factory=dict)
    """Structure name to its value in the label files; 0 is background."""
    patient_pattern: str | None = None
    """Regular expression whose first group, searched in the case name, tells the patient."""
    scans_per_patient: Positive = 1
    """For numbered scans: this many consecutive numbers belong to one patient."""
    folds: str = "patient"
    """``patient``: k folds grouped by patient. ``published``: by case, patients may be shared, for
    comparison with published figures only. Anything else: a JSON file with a list of
    ``{"train": [...], "val": [...]}``."""
    fold_count: Annotated[int, Field(ge=2)] = 5
    """Number of folds; not used with a split file."""
    fold_seed: Seed = 12345
    """Seed of the shuffling of the folds; not used with a split file."""
    allow_unpaired: bool = False
    """Go on without the images that lack a label and the labels that lack an image."""

    @field_validator("patient_pattern")
    @classmethod
    def _compiles_with_a_group(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        if groups < 1:
            raise ValueError("needs a group in parentheses that captures the patient")
        return pattern

    @field_validator("labels")
    @classmethod
    def _values_are_distinct(cls, labels: dict[str, int]) -> dict[str, int]:
        if len(set(labels.values())) != len(labels):
            raise ValueError("two structures share one value")
        return labels

    @field_validator("contrasts")
    @classmethod
    def _at_least_one(cls, contrasts: tuple[str, ...]) -> tuple[str, ...]:
        if not contrasts or len(set(contrasts)) != len(contrasts):
            raise ValueError("needs one or more different names")
        return contrasts


class PreprocessingSection(Section):
    """From a scan to normalised slices; decides the key of the slice cache."""

    plane: Literal["thickest", "axial", "coronal", "sagittal"] = "thickest"
    """Plane of the slices; ``thickest`` cuts along the axis of the thickest voxels."""
    spacing_mm: tuple[PositiveFloat, PositiveFloat] | None = None
    """In-plane spacing that every slice is brought to; empty keeps each scan's own."""
    foreground: Literal["all", "nonzero", "otsu"] = "nonzero"
    """Voxels whose mean and deviation normalise the volume."""
    clip_percentiles: tuple[Annotated[float, Field(ge=0, le=100)], ...] = (0.5, 99.5)
    """Foreground percentiles that intensities are clipped to before normalisation."""
    crop_foreground: bool = False
    """Leave out the planes around the foreground; the mask comes back on the whole grid."""

    @field_validator("clip_percentiles")
    @classmethod
    def _pair(cls, percentiles: tuple[float, ...]) -> tuple[float, ...]:
        if len(percentiles) != 2 or percentiles[0] >= percentiles[1]:
            raise ValueError("needs two ascending percentiles")
        return percentiles


class NetworkSection(Section):
    """The U-Net and what it sees at once."""

    features: tuple[Positive, ...] = (64, 128, 256, 512)
    """Channels of each level, from the top of the U downwards."""
    normalization: Literal["batch", "instance"] = "batch"
    """Normalisation after each convolution."""
    activation: Literal["relu", "leaky_relu", "gelu"] = "relu"
    """Non-linearity after each normalisation."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of channels silenced at the end of each double convolution in training."""
    context_slices: Annotated[int, Field(ge=0)] = 1
    """Neighbour slices on either side that join a slice as input channels."""
    window: tuple[Positive, Positive] = (256, 256)
    """Height and width that the network sees; larger slices are cut into such windows."""

    @field_validator("features")
    @classmethod
    def _at_least_one_level(cls, features: tuple[int, ...]) -> tuple[int, ...]:
        if not features:
            raise ValueError("needs at least one level")
        return features

    @model_validator(mode="after")
    def _window_survives_pooling(self) -> Self:
        smallest = 2 ** len(self.features)
        if min(self.window) < smallest:
            raise ValueError(
                f"window {self.window} is too small for {len(self.features)} poolings: "
                f"needs at least {smallest} x {smallest}"
            )
        return self


class TrainingSection(Section):
    """Loss, optimiser, schedule and budget."""

    loss: Literal["dice", "dice_ce"] = "dice_ce"
    """Dice loss alone or with cross entropy."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """Optimiser; ``sgd`` uses Nesterov momentum 0.99."""
    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate, reached after the warm-up."""
    weight_decay: NonNegativeFloat = 1e-2
    """Decay of the weights."""
    schedule: Literal["cosine", "polynomial"] = "cosine"
    """How the learning rate falls to zero at the last step."""
    warmup_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the steps in which the learning rate rises."""
    gradient_clip_norm: PositiveFloat | None = 1.0
    """Largest norm of the gradient; empty switches clipping off."""
    batch_size: Positive = 32
    """Slices a step."""
    foreground_fraction: Fraction = 0.5
    """Share of a batch whose window is centred on a labelled voxel."""
    epochs: Positive | None = None
    """Budget in epochs; an epoch draws as many slices as the training cases have."""
    budget_minutes: PositiveFloat | None = None
    """Budget in minutes, validation included; turned into steps once, at the start."""
    steps: Positive | None = None
    """Budget in steps; a run writes here what its budget in minutes came to."""
    validations: Positive = 10
    """How often the validation cases are scored, evenly over the run."""
    patience: Positive | None = None
    """Validations without a better Dice after which training ends; empty never ends early."""
    keep: Literal["last", "best"] = "last"
    """Checkpoint that becomes the model. ``best`` is chosen on the validation cases, so their
    score then flatters."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] | None = 0.999
    """Decay of the running average of the weights; empty switches it off."""
    precision: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Number format under autocast; ``auto`` is bfloat16 where the machine computes it natively.
    The loss is always float32."""
    channels_last: bool = True
    """Memory layout of the network and its input."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes a GPU where there is one."""

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        given = [
            name
            for name in ("epochs", "budget_minutes", "steps")
            if getattr(self, name) is not None
        ]
        if len(given) != 1:
            raise ValueError(
                "give exactly one of epochs, budget_minutes and steps, not "
                + (", ".join(given) if given else "none")
            )
        return self


class AugmentationSection(Section):
    """Random changes of the training windows; a probability of 0 switches one off."""

    affine_probability: Fraction = 0.5
    """Rotation, scaling and shift together."""
    rotation_degrees: NonNegativeFloat = 15.0
    """Largest rotation in the plane."""
    scale_range: Range = (0.85, 1.18)
    """Smallest and largest magnification."""
    translation_fraction: Fraction = 0.05
    """Largest shift as a share of the window."""
    elastic_probability: Fraction = 0.2
    """Smooth random deformation."""
    elastic_pixels: NonNegativeFloat = 2.0
    """Deviation of the displacement of the control points."""
    intensity_probability: Fraction = 0.3
    """Brightness shift and contrast scaling."""
    intensity_range: NonNegativeFloat = 0.2
    """Largest relative contrast change and largest shift in deviations."""
    noise_probability: Fraction = 0.2
    """Gaussian noise."""
    noise_deviation: NonNegativeFloat = 0.1
    """Largest deviation of the noise, in deviations of the volume."""
    gamma_probability: Fraction = 0.2
    """Gamma curve over the range of the window."""
    gamma_range: Range = (0.7, 1.5)
    """Smallest and largest exponent."""
    bias_field_probability: Fraction = 0.2
    """Smooth multiplicative field, as a coil's sensitivity makes it."""
    bias_field_strength: NonNegativeFloat = 0.3
    """Deviation of the logarithm of the field at its control points."""

    @field_validator("scale_range", "gamma_range")
    @classmethod
    def _ascending(cls, bounds: Range) -> Range:
        if bounds[0] > bounds[1]:
            raise ValueError("the first value must not exceed the second")
        return bounds


class InferenceSection(Section):
    """From slices to a mask on the scan's grid."""

    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of a window that overlaps the next one; used where slices exceed the window."""
    batch_size: Positive = 64
    """Slices or windows at once."""


class TrackingSection(Section):
    """Names under which MLflow keeps the run and the model."""

    experiment: str = "slicewise"
    """MLflow experiment that holds the runs."""
    model_name: Annotated[str, Field(pattern=NAME)] | None = None
    """Registered model; empty takes the name of the configuration."""


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
        unknown = sorted(set(self.structures) - set(self.data.labels))
        if unknown:
            raise ValueError(f"structures {unknown} are not in data.labels")
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
