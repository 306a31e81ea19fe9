"""``slicewise describe``: the network of a configuration, as a table and as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, ConfigFile, Overrides, Work


def describe(
    config_file: ConfigFile,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The figure, .svg or .png; default in --work."),
    ] = None,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
) -> None:
    """Print the layers of the network with their shapes, and draw it.

    Example:
      slicewise describe configs/hippocampus.yaml --out unet.svg
    """
    from slicewise.cli.console import note, show_table
    from slicewise.config import load_config
    from slicewise.reporting.figures.architecture import draw_architecture
    from slicewise.segmentation.architecture import describe_layers
    from slicewise.segmentation.unet import UNet

    config = load_config(config_file, overrides or ())
    network = UNet.from_config(config)
    rows = describe_layers(network, *config.network.window)
    show_table(
        f"UNet, input {config.in_channels} x {' x '.join(map(str, config.network.window))}",
        ("layer", "kind", "output (C, H, W)", "parameters"),
        [
            (row.name, row.kind, " x ".join(map(str, row.shape)), f"{row.parameters:,}")
            for row in rows
        ],
    )
    note(f"{sum(row.parameters for row in rows):,} parameters")
    figure = out or work / "figures" / f"{config.name}.svg"
    draw_architecture(rows, config.in_channels, figure)
    note(f"figure: {figure}")
