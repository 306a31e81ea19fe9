"""``slicewise preprocess`` and ``slicewise train``."""

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


def preprocess(
    config_file: ConfigFile,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    """Turn the scans of a data set into normalised slices; finished scans are never done twice.

    Example:
      slicewise preprocess configs/hippocampus.yaml --set data.root=Task04_Hippocampus
    """
    from slicewise.cli.console import loading, note
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.config import load_config

    config = load_config(config_file, overrides or ())
    with loading():
        from slicewise.cli.steps import prepared_slices
    _, prepared = prepared_slices(config, work, workers)
    slices = sum(len(case.image) for case in prepared.cases)
    note(f"{len(prepared.cases)} cases, {slices} slices in {work / 'cache'}")
    if prepared.set_aside:
        raise typer.Exit(SET_ASIDE)


def train(
    config_file: ConfigFile,
    fold: Annotated[
        str, typer.Option("--fold", metavar="K|all", help="Fold that is held out.")
    ] = "0",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the model; default below --work."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the training in --out stopped.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a training that lies in --out.")
    ] = False,
    initial: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Start from its weights: folder or checkpoint, run id, or models:/name@alias.",
        ),
    ] = None,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    """Train, score the held-out patients on their own grids, track the run, register the model.

    After --fold all, the held-out cases choose the temperature of the probabilities, and mirroring
    and post-processing where these significantly help; they learn how the Dice of a case can
    be foretold. `slicewise predict` follows what they chose when it is given the folder.

    Examples:
      slicewise train configs/hippocampus.yaml --set data.root=Task04_Hippocampus --out model

      slicewise train configs/hippocampus.yaml --fold all --set training.budget_minutes=5

      slicewise train configs/hippocampus.yaml --out model --resume

      slicewise train mine.yaml --from models:/hippocampus@champion --out tuned
    """
    from slicewise.cli.console import loading
    from slicewise.config import load_config

    config = load_config(config_file, overrides or ())
    require_labels(config)
    with loading():
        from slicewise.cli.training_run import train_folds
    if out is None:
        out = work / "runs" / config.name
        out = out if fold == "all" else out / f"fold-{fold}"
    exit_code = train_folds(
        config,
        fold,
        out,
        work,
        workers,
        resume=resume,
        overwrite=overwrite,
        initial=initial,
        config_file=config_file,
    )
    if exit_code:
        raise typer.Exit(exit_code)
