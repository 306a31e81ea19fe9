"""Makes the demo cohort, and downloads public data sets, ready to train on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slicewise.dataset.demo.cohort import make_demo_cohort
from slicewise.dataset.downloads import download_hippocampus
from slicewise.errors import UsageError
from slicewise.imaging.locking import sole_user
from slicewise.progress import SILENT, Progress, tracked
from slicewise.quantities import counted

FEWEST_SUBJECTS = 3
"""Of a cohort with scans of every kind."""


@dataclass(frozen=True)
class DemoDataOptions:
    """Which synthetic cohort to make.

    Attributes:
        out: folder of the cohort; empty, new, or a cohort like this one.
        subjects: how many; at least three, so that there are scans of every kind.
        seed: the same seed gives the same bytes.
    """

    out: Path
    subjects: int = 24
    seed: int = 0


@dataclass(frozen=True)
class DownloadOptions:
    """Where a download goes, and where it comes from.

    Attributes:
        out: folder in which the folder of the data set will lie.
        url: another address of the same archive; None takes the published one.
    """

    out: Path
    url: str | None = None


@dataclass(frozen=True)
class DataSetFolder:
    """A data set that lies on disk.

    Attributes:
        folder: of the data set, to be named as ``data.root``.
    """

    folder: Path


def make_demo_data(options: DemoDataOptions, progress: Progress = SILENT) -> DataSetFolder:
    """Make the demo cohort: synthetic, good for a trial and not for claims about accuracy.

    Raises:
        UsageError: fewer subjects than three.
        DataError: the folder holds something else.
        OutputError: the folder cannot be written.
    """
    require_subjects(options.subjects, FEWEST_SUBJECTS)
    progress.message(
        "The demo cohort is synthetic: good for a trial, not for claims about accuracy."
    )
    with sole_user(options.out):
        made = make_demo_cohort(options.out, options.subjects, options.seed)
        for _ in tracked(made, progress, "making the cohort", options.subjects):
            pass
    return DataSetFolder(options.out)


def require_subjects(subjects: int, fewest: int) -> None:
    """Refuse a cohort that is too small.

    Raises:
        UsageError: fewer subjects than that.
    """
    if subjects < fewest:
        raise UsageError(
            "`subjects`",
            expected=f"at least {fewest} subjects",
            found=counted(subjects, "subject"),
            remedy="give more",
        )


def download_data(options: DownloadOptions, progress: Progress = SILENT) -> DataSetFolder:
    """Download the hippocampus task of the Medical Segmentation Decathlon (about 28 MB).

    The checksum is verified, and a download that broke off is resumed.

    Raises:
        DownloadError: no connection, or a wrong checksum.
        DataError: the archive is damaged, or of another data set.
        OutputError: the folder cannot be written.
    """
    return DataSetFolder(download_hippocampus(options.out, progress, url=options.url))
