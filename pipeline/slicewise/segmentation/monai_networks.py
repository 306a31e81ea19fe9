"""MONAI's 2D networks under the contract of ``docs/extending.md``."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from slicewise.config import (
    AttentionUnetOptions,
    DynUNetOptions,
    FlexibleUNetOptions,
    SegResNetOptions,
)
from slicewise.lean_monai import nets

Window = tuple[int, int]


class SegResNet(nets.SegResNet):
    """``monai.networks.nets.SegResNet`` for slices."""

    def __init__(
        self, options: SegResNetOptions, in_channels: int, out_channels: int, _window: Window
    ) -> None:
        super().__init__(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=out_channels,
            init_filters=options.init_filters,
            blocks_down=options.blocks_down,
            blocks_up=options.blocks_up,
            norm=("group", {"num_groups": 8}) if options.norm == "group" else options.norm,
            dropout_prob=options.dropout_prob or None,
        )
        self.size_divisor = options.size_divisor

    @property
    def outputs(self) -> list[nn.Module]:
        """The convolution that ends in logits."""
        return [self.conv_final[-1].conv]


class AttentionUnet(nets.AttentionUnet):
    """``monai.networks.nets.AttentionUnet`` for slices."""

    def __init__(
        self, options: AttentionUnetOptions, in_channels: int, out_channels: int, _window: Window
    ) -> None:
        super().__init__(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=out_channels,
            channels=options.channels,
            strides=[2] * (len(options.channels) - 1),
            dropout=options.dropout,
        )
        self.size_divisor = options.size_divisor

    @property
    def outputs(self) -> list[nn.Module]:
        """The convolution that ends in logits."""
        return [cast(nn.Module, self.model[-1].conv)]


class FlexibleUNet(nets.FlexibleUNet):
    """``monai.networks.nets.FlexibleUNet`` for slices; no weights are downloaded."""

    def __init__(
        self, options: FlexibleUNetOptions, in_channels: int, out_channels: int, _window: Window
    ) -> None:
        super().__init__(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=out_channels,
            backbone=options.backbone,
            pretrained=False,
            decoder_channels=options.decoder_channels,
            norm=options.norm,
            dropout=options.dropout,
        )
        self.size_divisor = options.size_divisor

    @property
    def outputs(self) -> list[nn.Module]:
        """The convolution that ends in logits."""
        return [self.segmentation_head[0]]


class DynUNet(nets.DynUNet):
    """``monai.networks.nets.DynUNet`` for slices, with 3x3 convolutions throughout."""

    def __init__(
        self, options: DynUNetOptions, in_channels: int, out_channels: int, _window: Window
    ) -> None:
        levels = len(options.filters)
        super().__init__(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=[3] * levels,
            strides=[1] + [2] * (levels - 1),
            upsample_kernel_size=[2] * (levels - 1),
            filters=options.filters,
            dropout=options.dropout or None,
            norm_name=(options.norm_name, {"affine": True}),
            deep_supervision=options.deep_supervision,
            # The lowest level says too little to be worth its time.
            deep_supr_num=max(1, levels - 3),
            res_block=options.res_block,
        )
        self.size_divisor = options.size_divisor

    @property
    def outputs(self) -> list[nn.Module]:
        """The convolutions that end in logits, that of the top level first."""
        lower = self.deep_supervision_heads if self.deep_supervision else ()
        return [block.conv.conv for block in (self.output_block, *lower)]

    def levels(self, x: Tensor) -> list[Tensor]:
        """Logits of the supervised levels, all (N, K, H, W): MONAI enlarges the lower ones."""
        logits = self(x)
        # Deep supervision stacks the levels in training alone, (N, levels, K, H, W).
        return list(logits.unbind(1)) if logits.ndim == 5 else [logits]
