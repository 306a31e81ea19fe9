"""The whole way on a synthetic cohort: data check, training, prediction, scores, and report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slicewise.config import load_config
from slicewise.dataset.demo.cohort import DEMO_CONFIG
from slicewise.progress import SILENT, Progress
from slicewise.workflows.check import CheckOptions, CheckResult, check
from slicewise.workflows.data import DemoDataOptions, make_demo_data, require_subjects
from slicewise.workflows.report import ReportOptions, ReportResult, report
from slicewise.workflows.train import TrainingResult, TrainOptions, train

FEWEST_SUBJECTS = 8
"""Of a cohort with held-out cases of every kind."""


@dataclass(frozen=True)
class DemoOptions:
    """How long the demo is to take.

    Attributes:
        work: folder of everything that it makes.
        subjects: of the cohort; at least eight.
        seed: of the cohort.
        settings: ``key=value`` that change the configuration, such as ``training.steps=50``.
    """

    work: Path = Path("work")
    subjects: int = 24
    seed: int = 0
    settings: tuple[str, ...] = ()

    @property
    def cohort(self) -> Path:
        """Folder of the cohort."""
        return self.work / "demo" / "cohort"


@dataclass(frozen=True)
class DemoResult:
    """What the demo left; all of it is synthetic.

    Attributes:
        cohort: folder of scans and labels.
        check: what they hold, with a page.
        training: a fold that was trained, its held-out cases scored, its model registered.
        report: page and slides.
    """

    cohort: Path
    check: CheckResult
    training: TrainingResult
    report: ReportResult


def run_demo(options: DemoOptions, progress: Progress = SILENT) -> DemoResult:
    """Make a synthetic cohort, check it, train, predict, score, track, register and report.

    The cohort is good for a trial, not for claims about accuracy. About five minutes on two cores.

    Raises:
        UsageError: fewer subjects than eight.
        ConfigErrors: unknown settings and wrong values.
        DataError: the cohort's folder holds something else.
        OutputError: the work folder cannot be written.
    """
    require_subjects(options.subjects, FEWEST_SUBJECTS)
    folder = options.cohort.parent
    config = load_config(DEMO_CONFIG, [f"data.root={options.cohort}", *options.settings])
    make_demo_data(DemoDataOptions(options.cohort, options.subjects, options.seed), progress)
    checked = check(
        CheckOptions(options.cohort, config, folder / "check.html", work=options.work), progress
    )
    training = TrainOptions(
        config, out=folder / "model", work=options.work, overwrite=True, config_file=DEMO_CONFIG
    )
    trained = train(training, progress)
    reported = report(ReportOptions(trained.folder, work=options.work), progress)
    return DemoResult(options.cohort, checked, trained, reported)
