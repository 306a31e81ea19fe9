"""Options of the networks of MONAI, with the names of MONAI."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from slicewise.config.base import MOST_LEVELS, Positive, Section

Dropout = Annotated[float, Field(ge=0, lt=1)]
Levels = Annotated[tuple[Positive, ...], Field(min_length=2, max_length=MOST_LEVELS)]
Blocks = Annotated[int, Field(gt=0, le=64)]
_GROUPS = 8


class MonaiOptions(Section):
    """Base of the options of each network."""

    @property
    @abstractmethod
    def size_divisor(self) -> int:
        """Height and width of slices are padded to a multiple of it."""


class SegResNetOptions(MonaiOptions):
    """Residual encoder and decoder (Myronenko, BrainLes 2018), without its autoencoder."""

    init_filters: Positive = 32
    """Channels of the first level; they double with each level."""
    blocks_down: Annotated[tuple[Blocks, ...], Field(min_length=2, max_length=MOST_LEVELS)] = (
        1,
        2,
        2,
        4,
    )
    """Residual blocks of each level of the encoder."""
    blocks_up: Annotated[tuple[Blocks, ...], Field(min_length=1)] = (1, 1, 1)
    """Residual blocks of each level of the decoder, one level fewer."""
    norm: Literal["group", "batch", "instance"] = "group"
    """Normalisation; ``group`` has 8 groups."""
    dropout_prob: Dropout = 0.0
    """Dropout probability of channels after the first convolution."""

    @property
    def size_divisor(self) -> int:
        """Each level but the first halves the size."""
        return int(2 ** (len(self.blocks_down) - 1))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(self.blocks_up) != len(self.blocks_down) - 1:
            raise ValueError("one number fewer in blocks_up than in blocks_down")
        if self.norm == "group" and self.init_filters % _GROUPS:
            raise ValueError(f"a multiple of {_GROUPS} as init_filters with norm: group")
        return self


class AttentionUnetOptions(MonaiOptions):
    """U-Net with attention gates on its skip connections (Oktay et al., MIDL 2018)."""

    channels: Levels = (32, 64, 128, 256, 512)
    """Channels of each level."""
    dropout: Dropout = 0.0
    """Dropout probability of channels after each convolution."""

    @property
    def size_divisor(self) -> int:
        """Each level but the first halves the size."""
        return int(2 ** (len(self.channels) - 1))


class FlexibleUNetOptions(MonaiOptions):
    """U-Net with an EfficientNet or ResNet as encoder, without pretrained weights."""

    backbone: Literal[
        "efficientnet-b0",
        "efficientnet-b1",
        "efficientnet-b2",
        "efficientnet-b3",
        "efficientnet-b4",
        "efficientnet-b5",
        "efficientnet-b6",
        "efficientnet-b7",
        "resnet10",
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "resnet200",
    ] = "efficientnet-b0"
    """The encoder."""
    decoder_channels: Annotated[tuple[Positive, ...], Field(min_length=5, max_length=5)] = (
        256,
        128,
        64,
        32,
        16,
    )
    """Channels of each level of the decoder, from the lowest on; a ResNet has four."""
    norm: Literal["batch", "instance"] = "batch"
    """Normalisation of the decoder."""
    dropout: Dropout = 0.0
    """Dropout probability of channels in the decoder."""

    @property
    def size_divisor(self) -> int:
        """Five levels halve the size."""
        return 32


class DynUNetOptions(MonaiOptions):
    """The U-Net of nnU-Net (Isensee et al., Nature Methods 2021)."""

    filters: Annotated[tuple[Positive, ...], Field(min_length=3, max_length=MOST_LEVELS)] = (
        32,
        64,
        128,
        256,
        512,
    )
    """Channels of each level."""
    norm_name: Literal["instance", "batch"] = "instance"
    """Normalisation after each convolution."""
    dropout: Dropout = 0.0
    """Dropout probability of channels after each convolution."""
    res_block: bool = False
    """Whether blocks add their input to their output."""
    deep_supervision: bool = False
    """Whether the loss includes auxiliary outputs of the levels between the first and the last."""

    @property
    def size_divisor(self) -> int:
        """Each level but the first halves the size."""
        return int(2 ** (len(self.filters) - 1))


MONAI_NETWORKS: dict[str, type[MonaiOptions]] = {
    "segresnet": SegResNetOptions,
    "attention_unet": AttentionUnetOptions,
    "flexible_unet": FlexibleUNetOptions,
    "dynunet": DynUNetOptions,
}
