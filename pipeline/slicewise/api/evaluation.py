"""Scores masks from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slicewise.api.configs import AnyPath, ConfigLike, as_config, optional_path
from slicewise.progress import SILENT, Progress
from slicewise.workflows import evaluate as evaluating
from slicewise.workflows.evaluate import Evaluation


def evaluate(
    predictions: AnyPath,
    labels: AnyPath,
    *,
    out: AnyPath | None = None,
    config: ConfigLike | None = None,
    settings: Sequence[str] = (),
    json: AnyPath | None = None,
    work: AnyPath = "work",
    workers: int | str | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Evaluation:
    """Score masks from anywhere on the grid of their references.

    A false-negative or false-positive structure scores 0 and has no distance; where both masks are
    empty nothing is defined, and the case is counted.

    Args:
        predictions: a mask, or a folder of masks.
        labels: its reference, or a folder of references with the names of their masks.
        out: CSV of the scores to write.
        config: names and tolerances of structures, and which cases share a patient; None names
            structures after their values, and takes each case for a patient of its own.
        settings: changes of the configuration.
        json: file of the summary to write.
        work: work folder of the prediction, with the key from neutral names of masks of DICOM to
            their scans.
        workers: pairs at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
        overwrite: replace files of others; masks and references never are.
        progress: receives the progress.

    Raises:
        DataError: no pair of a mask and its reference, or masks of several models.
        ScanError: the only pair cannot be scored; of several, those that cannot are in
            ``set_aside``.

    Example:
        >>> found = slicewise.evaluate("my_scans/labels", "my_scans/labels")
        >>> float(found.scores["dice"].min())
        1.0
    """
    options = evaluating.EvaluateOptions(
        Path(predictions),
        Path(labels),
        optional_path(out),
        None if config is None else as_config(config, settings),
        optional_path(json),
        workers,
        Path(work),
        overwrite,
    )
    return evaluating.evaluate(options, progress)
