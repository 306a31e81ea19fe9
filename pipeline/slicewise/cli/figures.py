"""``slicewise figures``: pictures of how a model works, drawn from the model and a scan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overwrite, Work


def figures(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Folder or checkpoint of `slicewise train`, run id, or models:/name@alias.",
        ),
    ],
    scan: Annotated[
        Path, typer.Argument(metavar="SCAN", help="One scan, with slices larger than the window.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the figures.")],
    overwrite: Overwrite = False,
    work: Work = DEFAULT_WORK,
) -> None:
    r"""Draw how a model works: its network, a scan with its mask, its windows.

    The windows are those of one slice: what each predicts, and their weighted
    mean.

    Example:
      slicewise figures work/demo/model work/demo/cohort/images/DEMO-001.nii.gz \
        --out figures
    """
    from slicewise.cli.console import PROGRESS, loading, note

    with loading():
        from slicewise.workflows.figures import FiguresOptions, draw_figures
        from slicewise.workflows.models import ModelOptions
    options = FiguresOptions(ModelOptions(model, work=work), scan, out, overwrite)
    for path in draw_figures(options, PROGRESS).paths:
        note(str(path))
