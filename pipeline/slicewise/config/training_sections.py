"""The sections about a network and how it learns."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializationInfo,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from slicewise.config.base import (
    Fraction,
    MirrorAxis,
    NonNegativeFloat,
    Positive,
    PositiveFloat,
    Range,
    Section,
)
from slicewise.config.extensions import (
    AUGMENTATIONS,
    LOSSES,
    NETWORKS,
    TRAINED,
    Extensions,
    NoOptions,
    UncheckedOptions,
    joined,
    within,
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
"""Keys of the section that speak of the U-Net alone."""
_FEWEST_SUPERVISED = 3
BUDGETS = ("epochs", "budget_minutes", "steps")
"""Keys of which a training section has exactly one."""
BUDGET_MINUTES = 30.0
"""Of one fold, where none is given."""


class NetworkSection(Section):
    """The network and what it sees at once."""

    name: str = UNET
    """Network: ``unet``, or another that is installed, whose keys stand below ``options``."""
    options: SerializeAsAny[Section] = Field(default_factory=NoOptions, validate_default=True)
    """Options of a network other than ``unet``."""
    features: tuple[Positive, ...] = (64, 128, 256, 512)
    """Channels of each level, from the top of the U downwards."""
    normalization: Literal["batch", "instance"] = "batch"
    """Normalisation after each convolution."""
    activation: Literal["relu", "leaky_relu", "gelu"] = "relu"
    """Non-linearity after each normalisation."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of channels silenced at the end of each double convolution in training."""
    residual: bool = False
    """Whether each double convolution adds its input to its output."""
    deep_supervision: bool = False
    """Whether training also learns from outputs of the levels between the first and the last."""
    context_slices: Annotated[int, Field(ge=0)] = 1
    """Neighbour slices on either side that join a slice as input channels."""
    window: tuple[Positive, Positive] = (256, 256)
    """Height and width that the network sees; larger slices are cut into such windows."""

    @field_validator("name")
    @classmethod
    def _is_installed(cls, name: str) -> str:
        NETWORKS.require(name)
        return name

    @field_validator("options", mode="plain")
    @classmethod
    def _options_of_network(cls, values: Any, info: ValidationInfo) -> Any:
        return _options(NETWORKS, "name", values, info)

    @model_validator(mode="after")
    def _no_key_is_ignored(self) -> Self:
        foreign = [key for key in UNET_KEYS if key in self.model_fields_set]
        if self.name != UNET and foreign:
            raise ValueError(
                f"{', '.join(foreign)} belong to the network unet; those of {self.name} stand "
                "below options"
            )
        return self

    @field_validator("features")
    @classmethod
    def _at_least_one_level(cls, features: tuple[int, ...]) -> tuple[int, ...]:
        if not features:
            raise ValueError("needs at least one level")
        return features

    @model_validator(mode="after")
    def _some_level_is_supervised(self) -> Self:
        if self.deep_supervision and len(self.features) < _FEWEST_SUPERVISED:
            raise ValueError(
                f"deep_supervision needs {_FEWEST_SUPERVISED} features or more, not "
                f"{len(self.features)}: there is no level between the first and the last"
            )
        return self

    @model_validator(mode="after")
    def _window_survives_pooling(self) -> Self:
        if isinstance(self.options, MonaiOptions):
            # The lowest level needs more than one value to normalise.
            smallest = 2 * self.options.size_divisor
            if min(self.window) < smallest:
                raise ValueError(
                    f"window {self.window} is too small for these options of {self.name}: needs "
                    f"at least {smallest} x {smallest}"
                )
        if self.name != UNET:
            return self
        smallest = 2 ** len(self.features)
        if min(self.window) < smallest:
            raise ValueError(
                f"window {self.window} is too small for {len(self.features)} poolings: "
                f"needs at least {smallest} x {smallest}"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_unused(
        self, serialize: SerializerFunctionWrapHandler, _info: SerializationInfo
    ) -> dict[str, Any]:
        unused = () if self.name == UNET else UNET_KEYS
        return {key: value for key, value in serialize(self).items() if key not in unused}


class TrainingSection(Section):
    """Loss, optimiser, schedule and budget."""

    loss: str = "dice_ce"
    """Loss: ``dice``, ``dice_ce`` (with cross entropy), or another that is installed."""
    loss_options: SerializeAsAny[Section] = Field(default_factory=NoOptions, validate_default=True)
    """Options of a loss other than these two."""
    border_smoothing_pixels: NonNegativeFloat = 0.0
    """Width over which the label softens at the border of a structure, for cross entropy: the
    deviation of a Gaussian; 0 keeps it sharp."""
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
    score is then optimistically biased."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] | None = 0.999
    """Decay of the running average of the weights; empty switches it off."""
    precision: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Number format under autocast; ``auto`` is bfloat16 where the machine computes it natively.
    The loss is always float32."""
    channels_last: bool = True
    """Memory layout of the network and its input."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes a GPU where there is one."""

    @field_validator("loss")
    @classmethod
    def _is_installed(cls, name: str, info: ValidationInfo) -> str:
        if not _is_spared(LOSSES, name, info):
            LOSSES.require(name)
        return name

    @field_validator("loss_options", mode="plain")
    @classmethod
    def _options_of_loss(cls, values: Any, info: ValidationInfo) -> Any:
        return _options(LOSSES, "loss", values, info)

    @field_validator("border_smoothing_pixels")
    @classmethod
    def _has_cross_entropy(cls, width: float, info: ValidationInfo) -> float:
        if width > 0 and info.data.get("loss", "dice_ce") != "dice_ce":
            raise ValueError("softens labels for cross entropy, which needs loss dice_ce")
        return width

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        given = [name for name in BUDGETS if getattr(self, name) is not None]
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
    low_resolution_probability: Fraction = 0.0
    """Thicker voxels along one axis of the plane, as another protocol measures them."""
    low_resolution_factor: Range = (1.0, 2.0)
    """Smallest and largest thickening."""
    ghosting_probability: Fraction = 0.0
    """Faint shifted copies along one axis, as breathing or a pulse makes them."""
    ghosting_strength: NonNegativeFloat = 0.3
    """Largest share of the signal that every so many lines of k-space lose; of 2 to 6 copies,
    each has that share divided by their number."""
    motion_probability: Fraction = 0.0
    """A head that moves once while the lines of k-space are measured."""
    motion_pixels: NonNegativeFloat = 2.0
    """Largest shift of that movement."""
    contrast_dropout_probability: Fraction = 0.0
    """One contrast of several is zero, so that a scan without it can be predicted."""
    mirror_axes: tuple[MirrorAxis, ...] = ()
    """Axes along which half of the windows are mirrored; only where anatomy looks the same."""
    additional: dict[str, SerializeAsAny[Section]] = Field(default_factory=dict)
    """Augmentations of other packages, each with its options; applied last, in this order."""

    @field_validator("additional", mode="plain")
    @classmethod
    def _options_of_each(cls, values: Any, info: ValidationInfo) -> dict[str, Any]:
        if not isinstance(values, dict):
            raise ValueError("needs names of augmentations, each with its options")  # noqa: TRY004
        found: dict[str, Any] = {}
        mistakes: list[InitErrorDetails] = []
        for name, options in values.items():
            try:
                found[str(name)] = _validated(AUGMENTATIONS, str(name), options, info)
            except ValidationError as error:
                mistakes.extend(within(str(name), error))
            except PydanticCustomError as error:
                mistakes.append(InitErrorDetails(type=error, loc=(str(name),), input=options))
        joined(mistakes)
        return found

    @field_validator("scale_range", "gamma_range")
    @classmethod
    def _ascending(cls, bounds: Range) -> Range:
        if bounds[0] > bounds[1]:
            raise ValueError("the first value must not exceed the second")
        return bounds


def _options(extensions: Extensions, key: str, values: Any, info: ValidationInfo) -> Any:
    """Options of what another key names; as they are where that name is refused already."""
    if key not in info.data:
        return NoOptions()
    return _validated(extensions, info.data[key], values, info)


def _validated(extensions: Extensions, name: str, values: Any, info: ValidationInfo) -> Any:
    if _is_spared(extensions, name, info):
        return UncheckedOptions.model_validate({} if values is None else values)
    return extensions.options(name, values)


def _is_spared(extensions: Extensions, name: str, info: ValidationInfo) -> bool:
    """Whether a trained model does without what is not installed."""
    is_trained = bool(info.context and info.context.get(TRAINED))
    return is_trained and extensions is not NETWORKS and not extensions.is_installed(name)
