"""``slicewise baseline``: a classical method, scored like a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, ConfigFile, Overrides, Work, Workers

if TYPE_CHECKING:
    from slicewise.workflows.baseline import BaselineResult


def baseline(
    config_file: ConfigFile,
    fold: Annotated[int, typer.Option("--fold", min=0, metavar="K", help="Held-out fold.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of results; default: in WORK/runs."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier baseline in --out.")
    ] = False,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    r"""Fit and score a classical baseline: would thresholds do?

    K-means thresholds, morphology, watershed, template matching and a map of
    where structures occur are fitted to the training cases of a fold and scored
    on its held-out cases, by the same code as a network. `slicewise compare`
    compares the two. Needs OpenCV: pip install 'slicewise[baseline]'.

    Example:
      slicewise baseline configs/hippocampus.yaml \
        --set data.root=data/Task04_Hippocampus
    """
    from slicewise.cli.console import PROGRESS, loading
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.config import load_config

    config = load_config(config_file, overrides or ())
    _require_opencv()
    with loading():
        from slicewise.workflows.baseline import BaselineOptions, fit_baseline
    options = BaselineOptions(config, fold, out, work, workers, overwrite)
    result = fit_baseline(options, PROGRESS)
    _show(result)
    if result.set_aside:
        raise typer.Exit(SET_ASIDE)


def _show(result: BaselineResult) -> None:
    from slicewise.cli.console import show
    from slicewise.cli.tables import show_places, show_summary

    cases, baseline = result.cases, result.baseline
    title = f"Classical baseline, held-out cases of fold {cases.fold.number} ({cases.fold.kind})"
    show_summary(title, result.summaries, result.mean_dice)
    searched = f"{baseline.searched_cases} of {len(cases.train)} training cases"
    show(f"selected on {searched}:")
    show_places(baseline.descriptions())
    show_places(
        {
            "results": result.folder.path,
            "masks": result.folder.masks,
            "scores": result.folder.scores,
            "picture": result.folder.examples,
            "run": result.run_id,
        }
    )


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
