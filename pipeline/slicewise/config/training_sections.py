"""Sections about the network and its training."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializationInfo,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from slicewise.config.base import (
    MOST_LEVELS,
    Contradiction,
    Fraction,
    NonNegativeFloat,
    Positive,
    PositiveFloat,
    Section,
)
from slicewise.config.extensions import (
    LOSSES,
    NETWORKS,
    NoOptions,
    is_spared,
    options_of,
)
from slicewise.config.network_options import MonaiOptions

UNET = "unet"
UNET_KEYS = (
    "features",
    "normalization",
    "activation",
    "dropout",
    "residual",
    "deep_supervision",
)
"""Keys of the section that apply to the U-Net only."""
_FEWEST_SUPERVISED = 3
BUDGETS = ("epochs", "budget_minutes", "steps")
"""Keys of the training section of which exactly one is set."""
BUDGET_MINUTES = 30.0
"""Default budget of one fold."""


class NetworkSection(Section):
    """The network and its input."""

    name: str = UNET
    """Network: ``unet``, or another installed network, whose keys are under ``options``."""
    options: SerializeAsAny[Section] = Field(default_factory=NoOptions, validate_default=True)
    """Options of a network other than ``unet``."""
    features: Annotated[tuple[Positive, ...], Field(max_length=MOST_LEVELS)] = (64, 128, 256, 512)
    """Channels of each level, from the highest resolution to the lowest."""
    normalization: Literal["batch", "instance"] = "batch"
    """Normalisation after each convolution."""
    activation: Literal["relu", "leaky_relu", "gelu"] = "relu"
    """Non-linearity after each normalisation."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability that a channel is zeroed at the end of each double convolution in training."""
    residual: bool = False
    """Whether each double convolution adds its input to its output."""
    deep_supervision: bool = False
    """Whether the loss includes auxiliary outputs of the levels between the first and the last."""
    context_slices: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """Adjacent slices on either side that are additional input channels."""
    coordinates: bool = False
    """Coordinates within the scan along each axis as three more input channels, for structures
    that look alike in several places, such as left and right."""
    window: tuple[Positive, Positive] = (256, 256)
    """Height and width of the input; larger slices are divided into windows of this size."""

    @field_validator("name")
    @classmethod
    def _is_installed(cls, name: str) -> str:
        NETWORKS.require(name)
        return name

    @field_validator("options", mode="plain")
    @classmethod
    def _options_of_network(cls, values: Any, info: ValidationInfo) -> Any:
        return options_of(NETWORKS, "name", values, info)

    @model_validator(mode="after")
    def _no_key_is_ignored(self) -> Self:
        foreign = [key for key in UNET_KEYS if key in self.model_fields_set]
        if self.name != UNET and foreign:
            raise Contradiction(
                f"the options of {self.name} under network.options",
                f"{', '.join(foreign)}, which the network unet has",
            )
        return self

    @field_validator("features")
    @classmethod
    def _at_least_one_level(cls, features: tuple[int, ...]) -> tuple[int, ...]:
        if not features:
            raise ValueError("at least one level")
        return features

    @model_validator(mode="after")
    def _some_level_is_supervised(self) -> Self:
        if self.deep_supervision and len(self.features) < _FEWEST_SUPERVISED:
            raise Contradiction(
                f"{_FEWEST_SUPERVISED} features or more with deep_supervision",
                f"{len(self.features)}: no level lies between the first and the last",
            )
        return self

    @model_validator(mode="after")
    def _window_can_be_pooled(self) -> Self:
        if isinstance(self.options, MonaiOptions):
            # The lowest level needs more than one value to normalise.
            smallest = 2 * self.options.size_divisor
            if min(self.window) < smallest:
                raise Contradiction(
                    f"a window of at least {smallest} x {smallest} for these options of "
                    f"{self.name}",
                    _size(self.window),
                )
        if self.name != UNET:
            return self
        smallest = 2 ** len(self.features)
        if min(self.window) < smallest:
            raise Contradiction(
                f"a window of at least {smallest} x {smallest} for {len(self.features)} poolings",
                _size(self.window),
            )
        return self

    @model_serializer(mode="wrap")
    def _without_unused(
        self, serialize: SerializerFunctionWrapHandler, _info: SerializationInfo
    ) -> dict[str, Any]:
        unused = () if self.name == UNET else UNET_KEYS
        return {key: value for key, value in serialize(self).items() if key not in unused}


def _size(window: tuple[int, int]) -> str:
    return f"{window[0]} x {window[1]}"


class RecordedCourse(Section):
    """How a training with a budget in minutes went: repeated with it, it gives the same model."""

    pace: Annotated[tuple[tuple[int, Fraction, NonNegativeFloat], ...], Field(min_length=1)]
    """Stretches: first step, fraction of the time used before it, fraction per step."""
    validations: tuple[tuple[Positive, Positive], ...] = ()
    """Step and number of cases of each validation."""

    @field_validator("pace")
    @classmethod
    def _begins_at_the_first_step(
        cls, pace: tuple[tuple[int, float, float], ...]
    ) -> tuple[tuple[int, float, float], ...]:
        steps = [first for first, _, _ in pace]
        if steps[0] != 0 or steps != sorted(set(steps)):
            raise ValueError("ascending first steps that begin with 0")
        return pace


class TrainingSection(Section):
    """Loss, optimiser, learning-rate schedule and budget."""

    loss: str = "dice_ce"
    """Loss: ``dice``, ``dice_ce`` (with cross entropy), or another installed loss."""
    loss_options: SerializeAsAny[Section] = Field(default_factory=NoOptions, validate_default=True)
    """Options of another loss."""
    border_smoothing_pixels: NonNegativeFloat = 0.0
    """Standard deviation of the Gaussian that smooths labels at the border of structures, for
    cross entropy; 0 is off."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """Optimiser; ``sgd`` uses Nesterov momentum 0.99."""
    learning_rate: PositiveFloat = 1e-3
    """Maximum learning rate, reached after the warm-up."""
    weight_decay: NonNegativeFloat = 1e-2
    """Weight decay."""
    schedule: Literal["cosine", "polynomial"] = "cosine"
    """Decay of the learning rate to zero at the last step."""
    warmup_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Fraction of the steps in which the learning rate increases linearly."""
    gradient_clip_norm: PositiveFloat | None = 1.0
    """Maximum norm of the gradient; null disables clipping."""
    batch_size: Positive = 32
    """Slices per step."""
    when_memory_is_full: Literal["stop", "accumulate"] = "stop"
    """Whether a batch that does not fit into memory ends the training, or is computed in parts
    whose gradients are added up: the same loss, in about a third more time. Batch normalisation
    then sees each part by itself."""
    foreground_fraction: Fraction = 0.5
    """Fraction of a batch whose windows are centred on a labelled voxel."""
    epochs: Positive | None = None
    """Budget in epochs; an epoch draws as many slices as the training cases contain."""
    budget_minutes: PositiveFloat | None = None
    """Budget in minutes of wall-clock time of one fold, including validations and checkpoints;
    preparing the scans and scoring the held-out cases come on top."""
    steps: Positive | None = None
    """Budget in optimiser steps; a run with a budget in minutes records its steps here."""
    recorded: RecordedCourse | None = None
    """Written by a run with a budget in minutes, next to its steps."""
    validations: Positive = 10
    """Number of validations, evenly spaced over the run."""
    patience: Positive | None = None
    """Validations without improvement of the Dice after which training stops early; null disables
    early stopping."""
    keep: Literal["last", "best"] = "last"
    """Checkpoint that becomes the model. ``best`` is chosen on the validation cases, so their
    score is then optimistically biased."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] | None = 0.999
    """Decay of the exponential moving average of the weights; null disables it."""
    precision: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Floating-point type under autocast; ``auto`` is bfloat16 where it is supported natively. The
    loss is always float32."""
    channels_last: bool = True
    """Memory layout of the network and its input."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` uses a GPU if one is available."""

    @field_validator("loss")
    @classmethod
    def _is_installed(cls, name: str, info: ValidationInfo) -> str:
        if not is_spared(LOSSES, name, info):
            LOSSES.require(name)
        return name

    @field_validator("loss_options", mode="plain")
    @classmethod
    def _options_of_loss(cls, values: Any, info: ValidationInfo) -> Any:
        return options_of(LOSSES, "loss", values, info)

    @field_validator("border_smoothing_pixels")
    @classmethod
    def _has_cross_entropy(cls, width: float, info: ValidationInfo) -> float:
        if width > 0 and info.data.get("loss", "dice_ce") != "dice_ce":
            raise ValueError("0 without cross entropy, which loss dice_ce has")
        return width

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(given) != 1:
            raise Contradiction(
                "exactly one of epochs, budget_minutes and steps",
                " and ".join(given) or "no budget",
            )
        if self.recorded is not None and self.steps is None:
            raise Contradiction("recorded with the steps of its run", "another budget")
        return self

    @model_serializer(mode="wrap")
    def _without_unused(
        self, serialize: SerializerFunctionWrapHandler, _info: SerializationInfo
    ) -> dict[str, Any]:
        # Most configurations have none.
        unused = ("recorded",) if self.recorded is None else ()
        return {key: value for key, value in serialize(self).items() if key not in unused}
