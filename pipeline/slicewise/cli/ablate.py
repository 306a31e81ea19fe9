"""``slicewise ablate``: which of several recipes is better, measured inside the training cases."""

from __future__ import annotations

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


def ablate(
    config_file: ConfigFile,
    variants: Annotated[
        Path, typer.Argument(metavar="VARIANTS", help="YAML: each variant with its changes.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of results; default below --work."),
    ] = None,
    fold: OuterFold = 0,
    inner: InnerFold = 0,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, metavar="N", help="Trainings of each variant.")
    ] = 1,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    """Train variants of a configuration on inner folds and compare them, patient by patient.

    The training cases of --fold are divided once more; its held-out cases are neither learned from
    nor scored, so that they may judge the recipe that is chosen here. Finished trainings are not
    done again.

    VARIANTS names changes as --set takes them, and ensembles of variants; see
    configs/ablations/hippocampus.yaml.

    Example:
      slicewise ablate configs/hippocampus.yaml configs/ablations/hippocampus.yaml --seeds 2
    """
    from slicewise.cli.console import loading
    from slicewise.config import load_config

    config = load_config(config_file, overrides or ())
    config.require_structures()
    with loading():
        from slicewise.cli.ablation_run import AblationJob, run_ablation
        from slicewise.cli.ablation_variants import read_variants
    job = AblationJob(
        config_file,
        tuple(overrides or ()),
        read_variants(variants),
        out or work / "ablations" / f"{config.name}-{variants.stem}",
        (fold, inner),
        seeds,
    )
    run_ablation(job, work, workers)
