"""``slicewise describe``: the network of a configuration, as a table and, of a U-Net, a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, ConfigFile, Overrides, Overwrite, Work


def describe(
    config_file: ConfigFile,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Figure of a U-Net, .svg or .png; default: in WORK."
        ),
    ] = None,
    overwrite: Overwrite = False,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
) -> None:
    """Print the layers of a network with their shapes; a U-Net is drawn, too.

    Example:
      slicewise describe configs/hippocampus.yaml --out unet.svg
    """
    from slicewise.cli.console import PROGRESS, loading, note, show_table
    from slicewise.config import load_config

    config = load_config(config_file, overrides or ())
    with loading():
        from slicewise.workflows.describe import DescribeOptions
        from slicewise.workflows.describe import describe as describe_network
    found = describe_network(DescribeOptions(config, out, work, overwrite), PROGRESS)
    show_table(
        f"{found.name}, input {' x '.join(map(str, found.input_shape))}",
        ("layer", "kind", "output (C, H, W)", "parameters"),
        [
            (row.name, row.kind, " x ".join(map(str, row.shape)), f"{row.parameters:,}")
            for row in found.layers
        ],
    )
    note(f"{found.parameters:,} parameters")
    if found.figure is not None:
        note(f"figure: {found.figure}")
