"""``slicewise ablate``: which of several recipes is better, measured inside the training cases."""

from __future__ import annotations

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
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slicewise.evaluation.ablation import AblationRow
    from slicewise.evaluation.paired_difference import PairedDifference


def ablate(
    config_file: ConfigFile,
    variants: Annotated[
        Path, typer.Argument(metavar="VARIANTS", help="YAML file with the changes of each variant.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of results; default: in WORK/ablations."),
    ] = None,
    fold: OuterFold = 0,
    inner: InnerFold = 0,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, metavar="N", help="Trainings of each variant.")
    ] = 1,
    parallel: Parallel = None,
    overwrite: Overwrite = False,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    r"""Train variants of a configuration and compare them, paired by patient.

    The training cases of --fold are split once more into inner folds. Its
    held-out cases are neither trained on nor scored, so that they can judge the
    recipe that is chosen here. Finished trainings are not repeated.

    VARIANTS lists the changes of each variant, in the syntax of --set, and
    ensembles of variants; see configs/ablations/hippocampus.yaml.

    Example:
      slicewise ablate configs/hippocampus.yaml \
        configs/ablations/hippocampus.yaml \
        --set data.root=data/Task04_Hippocampus --seeds 2
    """
    from slicewise.cli.console import PROGRESS, loading, show
    from slicewise.config import load_config

    config = load_config(config_file, overrides or ())
    with loading():
        from slicewise.workflows.ablate import AblateOptions
        from slicewise.workflows.ablate import ablate as compare_variants
    options = AblateOptions(
        config, variants, out, fold, inner, seeds, work, workers, overwrite, parallel
    )
    result = compare_variants(options, PROGRESS)
    _show(result.rows)
    show(f"table: {result.csv}")


def _show(rows: Sequence[AblationRow]) -> None:
    from slicewise.cli.console import show_table
    from slicewise.config.variants import BASE
    from slicewise.quantities import figure

    show_table(
        "Inner held-out cases: difference of the mean Dice to the base [95 %]",
        ("variant", "Dice", "difference", "p", "processor time"),
        [
            (
                row.variant,
                figure(row.dice),
                *(("", "") if row.variant == BASE else _gain(row.difference)),
                f"{row.cpu_ratio:.2f} x",
            )
            for row in rows
        ],
    )


def _gain(found: PairedDifference) -> tuple[str, str]:
    """The difference with its interval, and its p-value."""
    from slicewise.quantities import figure

    return (
        f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]",
        figure(found.p_corrected),
    )
