"""``slicewise sweep``: values of a configuration that do well, searched with Optuna."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import (
    DEFAULT_WORK,
    ConfigFile,
    InnerFold,
    OuterFold,
    Overrides,
    Overwrite,
    Parallel,
    Work,
    Workers,
    work_option,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slicewise.workflows.sweep_study import Outcome

_SHOWN = 10


def sweep(
    config_file: ConfigFile,
    sweep_file: Annotated[
        Path,
        typer.Argument(metavar="SWEEP", help="YAML file with trials and the values of each key."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the sweep; default: in WORK/sweeps."),
    ] = None,
    fold: OuterFold = 0,
    inner: InnerFold = 0,
    parallel: Parallel = None,
    overwrite: Overwrite = False,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    r"""Search for better values of a configuration with Optuna.

    Each trial has the training budget of CONFIG and is scored on an inner split
    of the training cases of --fold. The held-out cases of that fold are neither
    trained on nor scored, so that they can judge the result. Trials that do badly
    are ended early. Each trial is a child run of the run of the sweep. The same
    command continues an interrupted sweep; more trials in SWEEP prolong it.

    The results are best.yaml, a configuration for `slicewise train`, trials.csv
    and sweep.png.

    Example:
      slicewise sweep configs/hippocampus.yaml configs/sweeps/hippocampus.yaml \
        --set data.root=data/Task04_Hippocampus --set training.budget_minutes=2
    """
    from slicewise.cli.console import PROGRESS, loading, note
    from slicewise.cli.tables import show_places
    from slicewise.config import load_config

    config = load_config(config_file, overrides or ())
    with loading():
        from slicewise.workflows.sweep import SweepOptions
        from slicewise.workflows.sweep import sweep as search
    options = SweepOptions(config, sweep_file, out, fold, inner, work, workers, overwrite, parallel)
    result = search(options, PROGRESS)
    _show(result.trials, result.best)
    show_places({"best": result.config_file, "trials": result.csv, "picture": result.figure})
    config_path = shlex.quote(str(result.config_file))
    note(f"Next: slicewise train {config_path} --fold {fold}{work_option(work)}")


def _show(trials: Sequence[Outcome], best: Outcome) -> None:
    from slicewise.cli.console import show_table
    from slicewise.quantities import figure
    from slicewise.workflows.sweep_trial import shown_value

    ranked = sorted(trials, key=lambda item: (item.state != "complete", -(item.dice or 0.0)))
    show_table(
        f"Inner held-out cases: the best of {len(trials)} trials",
        ("trial", "Dice", "state", *best.values),
        [
            (
                str(item.number),
                "-" if item.dice is None else figure(item.dice),
                item.state,
                *(shown_value(value) for value in item.values.values()),
            )
            for item in ranked[:_SHOWN]
        ],
    )
