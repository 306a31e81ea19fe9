"""The U-Net: two double convolutions a level, joined by skip connections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from slicewise.config.sections import Config
from slicewise.errors import GeometryError, ScanError

Part = TypeVar("Part")

NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
}
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.01, inplace=True),
    "gelu": nn.GELU,
}


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each with normalisation and activation; height and width stay.

    With ``residual`` the input is added before the last activation (He et al., CVPR 2016), through
    a 1x1 convolution where the channels differ.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        normalization: str = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        normalize = _named(NORMALIZATIONS, "normalization", normalization)
        activate = _named(ACTIVATIONS, "activation", activation)
        # The normalisation brings its own bias.
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
            normalize(out_channels),
            activate(),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
            normalize(out_channels),
            activate(),
        )
        # Outside of ``conv``, so that no option shifts the names of the parameters.
        self.dropout = nn.Dropout2d(dropout) if dropout > 0 else nn.Identity()
        self.residual = residual
        if residual and in_channels != out_channels:
            self.shortcut: nn.Module = nn.Conv2d(in_channels, out_channels, kernel_size=1)
        else:
            self.shortcut = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        if not self.residual:
            return cast(Tensor, self.dropout(self.conv(x)))
        *convolutions, activation = self.conv
        y = x  # (N, in_channels, H, W)
        for layer in convolutions:
            y = layer(y)  # (N, out_channels, H, W) from the first one on
        return cast(Tensor, self.dropout(activation(y + self.shortcut(x))))


class UNet(nn.Module):
    """Contracting and expanding path with skip connections between equal levels.

    With its defaults it is the classic network of 31,037,633 parameters, and its parameters carry
    the names of the widespread layout: ``downs.0.conv.0.weight``, ``ups.0.weight`` and so on.

    Args:
        in_channels: contrasts x (2 context slices + 1).
        out_channels: 1 for a binary task (sigmoid), otherwise classes and background (softmax).
        features: channels of each level, from the top of the U downwards.
        normalization: ``batch`` or ``instance``, after each convolution.
        activation: ``relu``, ``leaky_relu`` or ``gelu``, after each normalisation.
        dropout: share of channels silenced at the end of each double convolution in training.
        residual: whether double convolutions add their input to their output.
        deep_supervision: whether lower levels of the expanding path have outputs of their own,
            which training learns from, too.

    Raises:
        ValueError: no level, or an unknown normalisation or activation.

    Source:
        Ronneberger, Fischer and Brox: U-Net: Convolutional Networks for Biomedical Image
        Segmentation. MICCAI 2015, LNCS 9351, 234-241. Unlike there, convolutions are padded, so
        that the output has the size of the input, and normalised (Ioffe and Szegedy, ICML 2015).
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        features: Sequence[int] = (64, 128, 256, 512),
        *,
        normalization: str = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        residual: bool = False,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        if not features:
            raise ValueError("features: needs at least one level")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.features = tuple(features)
        self.normalization = normalization

        def double_conv(channels: int, feature: int) -> DoubleConv:
            return DoubleConv(
                channels,
                feature,
                normalization=normalization,
                activation=activation,
                dropout=dropout,
                residual=residual,
            )

        self.downs = nn.ModuleList()
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)
        self.ups = nn.ModuleList()

        channels = in_channels
        for feature in self.features:
            self.downs.append(double_conv(channels, feature))
            channels = feature

        self.bottleneck = double_conv(channels, 2 * channels)
        channels = 2 * channels

        for feature in reversed(self.features):
            self.ups.append(nn.ConvTranspose2d(channels, feature, kernel_size=2, stride=2))
            self.ups.append(double_conv(2 * feature, feature))
            channels = feature

        self.final_conv = nn.Conv2d(channels, out_channels, kernel_size=1)
        # From the second level downwards; the lowest says too little to be worth its time.
        supervised = self.features[1:-1] if deep_supervision else ()
        self.level_convs = nn.ModuleList(
            nn.Conv2d(feature, out_channels, kernel_size=1) for feature in supervised
        )

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Build the network that a configuration describes."""
        network = config.network
        return cls(
            config.in_channels,
            config.out_channels,
            network.features,
            normalization=network.normalization,
            activation=network.activation,
            dropout=network.dropout,
            residual=network.residual,
            deep_supervision=network.deep_supervision,
        )

    @property
    def outputs(self) -> nn.ModuleList:
        """The convolutions that end in logits, that of the top level first."""
        return nn.ModuleList([self.final_conv, *self.level_convs])

    def forward(self, x: Tensor) -> Tensor:
        """Predict the logits of every pixel.

        Args:
            x: normalised slices, shape (N, in_channels, H, W); H and W of any size from
                ``2 ** len(features)`` up, odd ones too.

        Returns:
            Logits, shape (N, out_channels, H, W).

        Raises:
            GeometryError: the slices are smaller than the poolings need.
            ScanError: the number of channels is not the network's.
        """
        return cast(Tensor, self.final_conv(self._decoded(x)[-1]))  # (N, out_channels, H, W)

    def levels(self, x: Tensor) -> list[Tensor]:
        """Like ``forward``, with the logits of the supervised levels.

        Returns:
            Logits of (N, out_channels, H, W), then, with deep supervision, of H // 2, H // 4 and
            so on.
        """
        *_, top = decoded = self._decoded(x)
        lower = decoded[-2 : -2 - len(self.level_convs) : -1]
        return [
            self.final_conv(top),
            *(conv(level) for conv, level in zip(self.level_convs, lower, strict=True)),
        ]

    def _decoded(self, x: Tensor) -> list[Tensor]:
        """Features of each level of the expanding path, from the lowest to the top."""
        self._check(x)
        skip_connections: list[Tensor] = []

        for down in self.downs:
            x = down(x)  # (N, f, H, W), f = 64 on the first of four levels
            skip_connections.append(x)
            x = self.pool(x)  # (N, f, H // 2, W // 2)

        x = self.bottleneck(x)  # (N, 2f, H // 16, W // 16) after four levels

        decoded: list[Tensor] = []
        for level, skip in enumerate(reversed(skip_connections)):  # skip: (N, f, H, W)
            x = self.ups[2 * level](x)  # (N, f, 2 * (H // 2), 2 * (W // 2))
            if x.shape[2:] != skip.shape[2:]:
                # Pooling dropped the last row or column of an odd size.
                x = functional.interpolate(
                    x, size=skip.shape[2:], mode="bilinear", align_corners=False
                )  # (N, f, H, W)
            x = torch.cat((skip, x), dim=1)  # (N, 2f, H, W)
            x = self.ups[2 * level + 1](x)  # (N, f, H, W)
            decoded.append(x)
        return decoded

    def _check(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ScanError(
                "network input",
                expected=f"slices of shape (N, {self.in_channels}, H, W)",
                found=f"shape {tuple(x.shape)}",
                remedy="give the contrasts and context slices that the network was built for",
            )
        smallest: int = 2 ** len(self.features)
        rows, columns = x.shape[2] // smallest, x.shape[3] // smallest
        if min(rows, columns) < 1:
            raise _too_small(x, f"at least {smallest} x {smallest} pixels for the poolings")
        # Values a channel over which the bottleneck takes its mean and standard deviation.
        pooled = rows * columns if self.normalization == "instance" else x.shape[0] * rows * columns
        if pooled == 1 and (self.training or self.normalization == "instance"):
            raise _too_small(x, "more than one value a channel to normalise at the bottom of the U")


def _too_small(x: Tensor, expected: str) -> GeometryError:
    return GeometryError(
        "network input",
        expected=expected,
        found=f"{x.shape[0]} slices of {x.shape[2]} x {x.shape[3]} pixels",
        remedy="pad the slices, enlarge network.window, or shorten network.features",
    )


def _named(parts: dict[str, Part], option: str, name: str) -> Part:
    if name not in parts:
        raise ValueError(f"{option}: expected one of {', '.join(parts)}, found {name!r}")
    return parts[name]
