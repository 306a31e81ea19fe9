"""``slicewise describe``: the network of a configuration, as a table and, of a U-Net, a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, ConfigFile, Overrides, Work


def describe(
    config_file: ConfigFile,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="The figure of a U-Net, .svg or .png; default in --work."
        ),
    ] = None,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
) -> None:
    """Print the layers of the network with their shapes, and draw it if it is a U-Net.

    Example:
      slicewise describe configs/hippocampus.yaml --out unet.svg
    """
    from slicewise.cli.console import note, show_table
    from slicewise.config import UNET, load_config
    from slicewise.errors import UsageError
    from slicewise.reporting.figures.architecture import draw_architecture
    from slicewise.segmentation.architecture import describe_layers
    from slicewise.segmentation.networks import build_network

    config = load_config(config_file, overrides or ())
    is_drawn = config.network.name == UNET
    if out is not None and not is_drawn:
        raise UsageError(
            f"--out {out}",
            expected=f"network.name: {UNET}, which alone is drawn",
            found=config.network.name,
            remedy="leave --out out; the layers are listed",
        )
    network = build_network(config)
    rows = describe_layers(network, *config.network.window)
    rows_in, columns_in = config.network.window
    show_table(
        f"{config.network.name}, input {config.in_channels} x {rows_in} x {columns_in}",
        ("layer", "kind", "output (C, H, W)", "parameters"),
        [
            (row.name, row.kind, " x ".join(map(str, row.shape)), f"{row.parameters:,}")
            for row in rows
        ],
    )
    note(f"{sum(item.numel() for item in network.parameters()):,} parameters")
    if not is_drawn:
        return
    figure = out or work / "figures" / f"{config.name}.svg"
    draw_architecture(rows, config.in_channels, figure)
    note(f"figure: {figure}")
