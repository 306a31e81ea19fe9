"""``slicewise preprocess`` and ``slicewise train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, ConfigFile, Overrides, Parallel, Work, Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slicewise.evaluation.inference_tuning.tuning import Trial
    from slicewise.workflows.train import TrainingResult


def preprocess(
    config_file: ConfigFile,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    r"""Preprocess the scans of a data set into the slice cache.

    Scans that are in the cache are not processed again. `slicewise train`
    preprocesses by itself what is missing.

    Example:
      slicewise preprocess configs/hippocampus.yaml \
        --set data.root=data/Task04_Hippocampus
    """
    from slicewise.cli.console import PROGRESS, loading, note
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.config import load_config
    from slicewise.quantities import counted

    config = load_config(config_file, overrides or ())
    with loading():
        from slicewise.workflows.prepare import PrepareOptions, prepare
    data = prepare(PrepareOptions(config, work, workers), PROGRESS)
    note(f"{counted(len(data.cases), 'case')}, {counted(data.slices, 'slice')} in {data.cache}")
    if data.set_aside:
        raise typer.Exit(SET_ASIDE)


def train(
    config_file: ConfigFile,
    fold: Annotated[
        str, typer.Option("--fold", metavar="K|all", help="Held-out fold: a number or all.")
    ] = "0",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the model; default: in WORK/runs."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the training in --out where it stopped.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier training in --out.")
    ] = False,
    initial: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Start from the weights of a folder, checkpoint, run id or models:/name@alias.",
        ),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(
            "--devices",
            metavar="N",
            help="Train with N processes: one a GPU, or without GPUs each with a share of the "
            "cores.",
        ),
    ] = None,
    parallel: Parallel = None,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    r"""Train a model, score it on held-out cases, track the run and register it.

    With --fold all, every fold is trained, and inference is tuned on the held-out
    cases: the temperature of the probabilities, and mirroring and post-processing
    where they help significantly. A regression learns to predict the Dice of a
    case. `slicewise predict` uses the tuned inference when it is given the
    folder.

    Exit code 8: some scans were set aside.

    Examples:
      slicewise train configs/hippocampus.yaml --out model \
        --set data.root=data/Task04_Hippocampus

      slicewise train mine.yaml --fold all --out folds

      slicewise train mine.yaml --fold all --out folds --parallel 2

      slicewise train mine.yaml --fold all --out folds --resume

      slicewise train mine.yaml --from models:/hippocampus@champion --out tuned

      slicewise train mine.yaml --devices 2 --out model

      torchrun --nproc-per-node 4 -m slicewise train mine.yaml --out model
    """
    from slicewise.workflows.take_part import is_follower

    if is_follower():
        _follow()
        return
    from slicewise.cli.console import PROGRESS, loading
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.config import load_config

    held_out = _fold(fold)
    config = load_config(config_file, overrides or ())
    with loading():
        from slicewise.workflows.train import TrainOptions
        from slicewise.workflows.train import train as train_model
    options = TrainOptions(
        *(config, held_out, out, work, workers, resume, overwrite, initial, config_file),
        devices=devices,
        parallel=parallel,
    )
    result = train_model(options, PROGRESS)
    show_training(result)
    if result.set_aside:
        raise typer.Exit(SET_ASIDE)


def show_training(result: TrainingResult) -> None:
    """Print scores and the places of the files."""
    from slicewise.cli.console import note
    from slicewise.cli.tables import report_never_found, show_places, show_summary

    first, summaries = result.folds[0], result.summaries
    kind = first.fold.kind
    together = result.run_id != first.run_id
    title = f"Held-out cases of fold {first.fold.number} ({kind})"
    show_summary(
        f"All cases, out of fold ({kind})" if together else title, summaries, result.mean_dice
    )
    report_never_found(summaries)
    if result.tuning is not None:
        _show_tuning(result.tuning.trials)
        note(f"`slicewise predict {result.folder}` uses the tuned inference")
    places: dict[str, object] = {"model": result.folder}
    if not together:
        places |= {
            "masks": first.folder.masks,
            "scores": first.folder.scores,
            "picture": first.folder.examples,
        }
    places["run"] = result.run_id
    if result.registered:
        show_places({**places, "registered": result.registered})
        return
    show_places(places)
    note(
        f"One of the folds in {result.folder.absolute().parent}: --fold all --resume trains those "
        "that are missing, and registers their ensemble"
    )


def _follow() -> None:
    """Take part in the training of another process, which speaks for all."""
    from slicewise.errors import SlicewiseError, WorkerError
    from slicewise.workflows.take_part import take_part

    try:
        take_part()
    except WorkerError:
        # It was not found.
        raise
    except SlicewiseError as error:
        raise typer.Exit(error.exit_code) from error


def _fold(text: str) -> int | None:
    from slicewise.errors import UsageError

    if text == "all":
        return None
    if text.isdigit():
        return int(text)
    raise UsageError(
        f"--fold {text}", expected="a number or all", found=text, remedy="give one of the two"
    )


def _show_tuning(trials: Sequence[Trial]) -> None:
    """Print a row for everything that was tried."""
    from slicewise.cli.console import note, show_table

    columns = ("tried on held-out cases", "option", "metric", "gain [95 %]", "p", "chosen")
    show_table("Inference tuning by cross-validation", columns, [_row(trial) for trial in trials])
    note(
        "Gains are means over cases; intervals by a patient-level bootstrap; p is corrected for "
        "all masks that were tried. A row that is neither chosen nor rejected measures the tuning "
        "itself: each fold with what the other folds would have chosen. Figures are those of "
        "single networks, not of the ensemble of all folds."
    )


def _row(trial: Trial) -> tuple[str, ...]:
    from slicewise.quantities import figure

    found = trial.gain
    interval = "" if found.low != found.low else f" [{found.low:+.4f}, {found.high:+.4f}]"
    p = found.p_value if found.p_corrected != found.p_corrected else found.p_corrected
    return (
        f"{trial.kind}, {trial.structure}",
        trial.option,
        trial.metric,
        f"{found.mean:+.4f}{interval}",
        figure(p),
        "" if trial.chosen is None else "yes" if trial.chosen else "no",
    )
