"""Describes the network of a configuration: its layers as a table and, of a U-Net, a figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.config import UNET, Config
from slicewise.errors import UsageError
from slicewise.imaging.target import outputs
from slicewise.progress import SILENT, Progress
from slicewise.reporting.figures.architecture import FORMATS, draw_architecture
from slicewise.segmentation.architecture import LayerRow, describe_layers
from slicewise.segmentation.networks import build_network

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DescribeOptions:
    """What to describe.

    Attributes:
        config: whose network.
        out: the figure of a U-Net, ``.svg`` or ``.png``; None takes a file below the work folder.
        work: folder of the figure where ``out`` names none.
        overwrite: replace a file of others.
    """

    config: Config
    out: Path | None = None
    work: Path = Path("work")
    overwrite: bool = False


@dataclass(frozen=True)
class NetworkDescription:
    """A network, layer by layer.

    Attributes:
        name: of the network, such as ``unet``.
        input_shape: channels, rows and columns of the slices that it is shown.
        layers: in the order in which a slice passes through them.
        parameters: number of all parameters.
        figure: drawing of the layers; None where the network is no U-Net.
    """

    name: str
    input_shape: tuple[int, int, int]
    layers: tuple[LayerRow, ...]
    parameters: int
    figure: Path | None

    @property
    def table(self) -> pd.DataFrame:
        """One row per layer: kind, shape of its output as (C, H, W), number of parameters."""
        import pandas as pd

        columns = {
            "layer": [row.name for row in self.layers],
            "kind": [row.kind for row in self.layers],
            "output_shape": [row.shape for row in self.layers],
            "parameters": [row.parameters for row in self.layers],
        }
        return pd.DataFrame(columns).set_index("layer")


def describe(options: DescribeOptions, progress: Progress = SILENT) -> NetworkDescription:
    """List the layers of a network with their shapes, and draw it if it is a U-Net.

    Raises:
        UsageError: a figure is asked for of another network.
        GeometryError: the window is too small for the network.
        OutputError: the figure cannot be written, or would replace a file of others.
    """
    del progress
    config = options.config
    is_drawn = config.network.name == UNET
    if options.out is not None and not is_drawn:
        raise UsageError(
            f"`out` {options.out}",
            expected=f"network.name: {UNET}, the only network that is drawn",
            found=config.network.name,
            remedy="leave `out` out; the layers are listed",
        )
    network = build_network(config)
    layers = tuple(describe_layers(network, *config.network.window))
    figure = None
    if is_drawn:
        figure = options.out or options.work / "figures" / f"{config.name}.svg"
        files, suffixes = {"out": [figure]}, {"out": FORMATS}
        with outputs("describe", files, overwrite=options.overwrite, suffixes=suffixes):
            draw_architecture(layers, config.in_channels, figure)
    return NetworkDescription(
        config.network.name,
        (config.in_channels, *config.network.window),
        layers,
        sum(item.numel() for item in network.parameters()),
        figure,
    )
