"""``slicewise demo``: the whole path on a synthetic cohort, from scans to a registered model."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overrides, Work, work_option


def demo(
    work: Work = DEFAULT_WORK,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the cohort.")] = 0,
    subjects: Annotated[int, typer.Option("--subjects", min=8, help="Number of subjects.")] = 24,
    overrides: Overrides = None,
) -> None:
    """Run the whole pipeline on a synthetic cohort, from scans to a report.

    Makes the cohort, checks it, trains a model, scores and registers it, and
    writes a report; about five minutes on two cores. The cohort is good for a
    trial, not for claims about accuracy.

    Examples:
      slicewise demo

      slicewise demo --set training.steps=50
    """
    from slicewise.cli.check import show_check
    from slicewise.cli.console import PROGRESS, loading, note
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.cli.train import show_training

    with loading():
        from slicewise.workflows.demo import DemoOptions, run_demo
    result = run_demo(DemoOptions(work, subjects, seed, tuple(overrides or ())), PROGRESS)
    show_check(result.check)
    show_training(result.training)
    note(f"report: {result.report.page}")
    note("The demo is synthetic: good for a trial, not for claims about accuracy.")
    place = work_option(work)
    note(f"Next: slicewise predict models:/demo@champion SCAN --out mask.nii.gz{place}")
    note(f"Look at the runs: slicewise mlflow{place}")
    config, cohort = result.training.folds[0].folder.config, shlex.quote(str(result.cohort))
    note(
        f"Would thresholds do? slicewise baseline {shlex.quote(str(config))} "
        f"--set data.root={cohort}{place}, then slicewise report again"
    )
    if result.training.set_aside or not result.check.is_sound:
        raise typer.Exit(SET_ASIDE)
