"""``slicewise sweep``: values of a configuration that do well, searched with Optuna."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import (
    DEFAULT_WORK,
    ConfigFile,
    InnerFold,
    OuterFold,
    Overrides,
    Work,
    Workers,
)
from slicewise.errors import UsageError


def sweep(
    config_file: ConfigFile,
    sweep_file: Annotated[
        Path, typer.Argument(metavar="SWEEP", help="YAML: trials, and the values of each key.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the sweep; default below --work."),
    ] = None,
    fold: OuterFold = 0,
    inner: InnerFold = 0,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    r"""Train a configuration again and again with other values, and keep the best of them.

    Every trial has the budget of CONFIG and is scored on an inner division of the training cases
    of --fold; the held-out cases of that fold are neither learned from nor scored, so that they may
    judge what is found. Trials that do badly end early. Each trial is a run below the run of the
    sweep. The same command goes on where a sweep stopped; more trials in SWEEP prolong it.

    It leaves best.yaml, a configuration for `slicewise train`, with trials.csv and sweep.png.

    Example:
      slicewise sweep configs/hippocampus.yaml configs/sweeps/hippocampus.yaml \
        --set data.root=Task04_Hippocampus --set training.budget_minutes=2
    """
    from slicewise.cli.console import loading
    from slicewise.config import load_config, load_space

    config = load_config(config_file, overrides or ())
    config.require_structures()
    space = load_space(sweep_file, config)
    if find_spec("optuna") is None:
        raise UsageError(
            "slicewise sweep",
            expected="Optuna, which draws the values",
            found="none in this environment",
            remedy="pip install 'slicewise[sweep]'",
        )
    with loading():
        from slicewise.cli.sweep_run import SweepJob, run_sweep
    job = SweepJob(config, space, sweep_file, out or work / "sweeps" / config.name, (fold, inner))
    run_sweep(job, work, workers)
