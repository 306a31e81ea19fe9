"""``slicewise figures``: pictures of how a model works, drawn from the model and a scan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Work


def figures(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Folder or checkpoint of `slicewise train`, a run id, or models:/name@alias.",
        ),
    ],
    scan: Annotated[
        Path, typer.Argument(metavar="SCAN", help="One scan; its slices exceed the window.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the pictures.")],
    work: Work = DEFAULT_WORK,
) -> None:
    """Draw the network, the scan beside its mask, and how windows of a slice are blended.

    Example:
      slicewise figures work/demo/model work/demo/cohort/images/DEMO-001.nii.gz --out figures
    """
    from slicewise.cli.console import loading, note
    from slicewise.config import UNET
    from slicewise.errors import UsageError

    with loading():
        from slicewise.dataset.contrasts import read_contrasts
        from slicewise.dataset.work_folder import WorkFolder
        from slicewise.imaging.structures import structures_of
        from slicewise.reporting.figures.architecture import draw_architecture
        from slicewise.reporting.figures.examples import Example, draw_examples
        from slicewise.reporting.figures.sliding_window import draw_tiles
        from slicewise.segmentation.architecture import describe_layers
        from slicewise.segmentation.networks import build_network
        from slicewise.segmentation.tiles import tile_slice
        from slicewise.workflows.models import ModelOptions, load_predictor
        from slicewise.workflows.predict import find_inputs
    predictor = load_predictor(ModelOptions(model, work=work))
    config = predictor.config
    found, _ = find_inputs(scan, config, out, WorkFolder(work))
    if len(found) > 1:
        raise UsageError(
            scan,
            expected="one scan",
            found=f"{len(found)}",
            remedy="give the path of one of them",
        )
    (sources,) = found.values()
    contrasts = read_contrasts(sources, config.data.contrasts, config.reading)
    structures = structures_of(config.data.labels, config.structures)
    drawn = ["scan_and_mask.png", "windows.png"]
    if config.network.name == UNET:
        rows = describe_layers(build_network(config), *config.network.window)
        draw_architecture(rows, config.in_channels, out / "network.svg")
        drawn.insert(0, "network.svg")
    draw_tiles(tile_slice(predictor, *contrasts), structures, out / "windows.png")
    example = Example(contrasts[0].name, contrasts[0], predictor.predict(*contrasts))
    draw_examples([example], config.data.labels, out / "scan_and_mask.png")
    for name in drawn:
        note(str(out / name))
