"""``slicewise demo``: the whole path on a synthetic cohort, from scans to a registered model."""

from __future__ import annotations

from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overrides, Work


def demo(
    work: Work = DEFAULT_WORK,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the cohort.")] = 0,
    subjects: Annotated[int, typer.Option("--subjects", min=8, help="Subjects to make.")] = 24,
    overrides: Overrides = None,
) -> None:
    """Make a synthetic cohort, check it, train, predict, evaluate, track, register and report.

    The cohort is good for a trial, not for accuracy claims. About five minutes on two cores.

    Example:
      slicewise demo --set training.steps=50
    """
    from slicewise.cli.check import check
    from slicewise.cli.console import PROGRESS, loading, note
    from slicewise.cli.report import report
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.cli.train import show_training
    from slicewise.config import load_config
    from slicewise.dataset.demo.cohort import DEMO_CONFIG
    from slicewise.workflows.data import DemoDataOptions, make_demo_data

    cohort = work / "demo" / "cohort"
    config = load_config(DEMO_CONFIG, [f"data.root={cohort}", *(overrides or ())])
    make_demo_data(DemoDataOptions(cohort, subjects, seed), PROGRESS)
    page = work / "demo" / "check.html"
    check(cohort, html_file=page, config_file=DEMO_CONFIG, work=work)
    with loading():
        from slicewise.workflows.train import TrainOptions
        from slicewise.workflows.train import train as train_model
    model = work / "demo" / "model"
    options = TrainOptions(config, 0, model, work, overwrite=True, config_file=DEMO_CONFIG)
    result = train_model(options, PROGRESS)
    show_training(result)
    if not result.set_aside:
        report(str(model), work=work)
    note("All of this is synthetic: good for a trial, not for accuracy claims.")
    note("Next: slicewise predict models:/demo@champion SCAN --out mask.nii.gz, or make mlflow")
    note("Would thresholds do? slicewise baseline configs/demo.yaml, then slicewise report again")
    if result.set_aside:
        raise typer.Exit(SET_ASIDE)
