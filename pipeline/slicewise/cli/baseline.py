"""``slicewise baseline``: thresholds, morphology and a prior, scored where a network would be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import (
    DEFAULT_WORK,
    ConfigFile,
    Overrides,
    Work,
    Workers,
    require_labels,
)


def baseline(
    config_file: ConfigFile,
    fold: Annotated[
        int, typer.Option("--fold", min=0, metavar="K", help="Fold that is held out.")
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the results; default below --work."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a baseline that lies in --out.")
    ] = False,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    """Answer by measurement why a U-Net, when thresholds would do.

    Fits what OpenCV offers (k-means thresholds, morphology, watershed, template matching) and a
    map of where structures were to the training cases, and scores it on the held-out cases of a
    training, by the same code. `slicewise compare` sets the two beside each other.

    Example:
      slicewise baseline configs/hippocampus.yaml --set data.root=Task04_Hippocampus
    """
    from slicewise.cli.console import loading
    from slicewise.config import load_config

    config = load_config(config_file, overrides or ())
    require_labels(config)
    _require_opencv()
    with loading():
        from slicewise.cli.baseline_run import BaselineJob, run_baseline
    out = out or work / "runs" / f"{config.name}-baseline" / f"fold-{fold}"
    exit_code = run_baseline(BaselineJob(config, fold, out, work, workers, overwrite))
    if exit_code:
        raise typer.Exit(exit_code)


def _require_opencv() -> None:
    from slicewise.errors import SlicewiseError

    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise SlicewiseError(
            "slicewise baseline",
            expected="OpenCV for Python, which the extra baseline brings",
            found=str(error),
            remedy="pip install 'slicewise[baseline]'",
        ) from None
