"""Makes the synthetic demo cohort, and runs the whole path on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slicewise.api.configs import AnyPath
from slicewise.progress import SILENT, Progress
from slicewise.workflows import data as making
from slicewise.workflows import demo as demonstrating
from slicewise.workflows.demo import DemoResult


def make_demo_data(
    folder: AnyPath, *, subjects: int = 24, seed: int = 0, progress: Progress = SILENT
) -> Path:
    """Make the synthetic demo cohort: good for a trial, not for accuracy claims.

    Args:
        folder: takes ``images``, ``labels`` and the manifest ``dataset.csv``; every third subject
            is a DICOM series. Subjects that lie there already are kept.
        subjects: how many; at least three.
        seed: of the cohort.
        progress: receives the progress.

    Returns:
        The folder.

    Raises:
        UsageError: fewer subjects than three.
        DataError: the folder holds something else.
        OutputError: the folder cannot be written.

    Example:
        >>> slicewise.make_demo_data("demo_cohort", subjects=3).name
        'demo_cohort'
    """
    options = making.DemoDataOptions(Path(folder), subjects, seed)
    return making.make_demo_data(options, progress).folder


def run_demo(
    *,
    work: AnyPath = "work",
    subjects: int = 24,
    seed: int = 0,
    settings: Sequence[str] = (),
    progress: Progress = SILENT,
) -> DemoResult:
    """Run the whole path on a synthetic cohort: check, train, predict, score, track and report.

    The cohort is good for a trial, not for claims about accuracy. About five minutes on two cores.

    Args:
        work: folder of everything that it makes.
        subjects: of the cohort; at least eight.
        seed: of the cohort.
        settings: changes of the configuration, such as ``training.steps=50``.
        progress: receives the progress.

    Raises:
        UsageError: fewer subjects than eight.
        ConfigErrors: unknown settings and wrong values.
        DataError: the folder of the cohort holds something else.
        OutputError: the work folder cannot be written.

    Example:
        >>> done = slicewise.run_demo(subjects=8, settings=["training.steps=5"])
        >>> done.report.page.name
        'report.html'
    """
    options = demonstrating.DemoOptions(Path(work), subjects, seed, tuple(settings))
    return demonstrating.run_demo(options, progress)
