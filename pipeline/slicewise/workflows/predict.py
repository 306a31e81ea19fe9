"""Predicts scans: finds them, segments each, writes its mask on the scan's own grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from slicewise.config import Config
from slicewise.dataset.catalogue import Images, SetAside
from slicewise.dataset.layouts import read_images
from slicewise.dataset.work_folder import WorkFolder, require_outside
from slicewise.dataset.workers import chosen_workers
from slicewise.errors import ScanError
from slicewise.evaluation.confidence_table import least_confident_first
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.masks import (
    MaskFormat,
)
from slicewise.imaging.scan import ScanSource, path_of
from slicewise.imaging.scan_search import find_scans
from slicewise.progress import SILENT, Progress
from slicewise.segmentation.confidence import StructureConfidence
from slicewise.segmentation.unlikeness import Unlikeness
from slicewise.workflows.mask_folder import MaskFolder
from slicewise.workflows.messages import report_notes, report_set_aside, report_warnings
from slicewise.workflows.models import ModelOptions, load_segmenter, not_followed
from slicewise.workflows.predict_scan import PredictedScan, ScanTask, mask_output, predict_each

if TYPE_CHECKING:
    import pandas as pd

Choice = TypeVar("Choice", bound=StrEnum)
Scans = dict[str, Images]


@dataclass(frozen=True)
class PredictOptions:
    """What to predict, and what to write.

    Attributes:
        model: which model.
        source: a scan, a folder of scans or of DICOM, a data set.
        out: folder of masks, or the one file for one scan.
        format: ``nifti``, ``seg-nrrd`` or ``dicom-seg``; the mask of a picture is a picture.
        identity: what a DICOM SEG says of the patient: ``pseudonym``, ``source`` or ``remap``; None
            takes the pseudonym.
        probabilities: write maps of the probabilities, too.
        uncertainty: write a map of the uncertainty, too.
        refuse_unlike: write no mask of a scan that is unlike those of the training.
        overwrite: replace files of others, and remove the masks of another model.
        workers: processes that predict a scan each, or the address of a Dask cluster; None predicts
            in this process, with all cores or the GPU.
    """

    model: ModelOptions
    source: Path
    out: Path
    format: str = MaskFormat.NIFTI
    identity: str | None = None
    probabilities: bool = False
    uncertainty: bool = False
    refuse_unlike: bool = False
    overwrite: bool = False
    workers: int | str | None = None


@dataclass(frozen=True)
class PredictionResult:
    """Masks that were written.

    Attributes:
        masks: name of each scan to its mask.
        confidences: name of each scan to how sure the model is of its structures.
        unlikeness: name of each scan to how unlike those of the training it is.
        csv: file of these; None where none was written.
        set_aside: scans that could not be predicted.
    """

    masks: Mapping[str, Path]
    confidences: Mapping[str, tuple[StructureConfidence, ...]]
    unlikeness: Mapping[str, Unlikeness]
    csv: Path | None
    set_aside: tuple[SetAside, ...]

    @property
    def least_confident_first(self) -> list[tuple[str, StructureConfidence]]:
        """Name of the scan and confidence of each structure, in the order to check them."""
        return least_confident_first(self.confidences, self.unlikeness)

    @property
    def unlike(self) -> dict[str, tuple[str, ...]]:
        """Name of each scan that is unlike those of the training, to the reasons."""
        return {scan: item.reasons for scan, item in self.unlikeness.items() if item.reasons}

    @property
    def table(self) -> pd.DataFrame:
        """One row per scan and structure with the columns of ``confidence.csv``."""
        import pandas as pd

        rows = [
            {
                "scan": scan,
                **asdict(item),
                "unlikeness": self.unlikeness[scan].score,
                "unlike": "; ".join(self.unlikeness[scan].reasons),
            }
            for scan, item in self.least_confident_first
        ]
        return pd.DataFrame(rows).set_index("scan") if rows else pd.DataFrame()


def predict(options: PredictOptions, progress: Progress = SILENT) -> PredictionResult:
    """Write the mask of each scan on the scan's own grid.

    Raises:
        UsageError: options that contradict each other, or one file for several masks.
        ModelError, CheckpointError: no such model, or a damaged one.
        ScanError: no scan, or the only one cannot be predicted.
        OutputError: a mask cannot be written, or would replace a file of others.
    """
    out, work = options.out, WorkFolder(options.model.work)
    if options.model.endpoint is not None:
        _require_followed(options)
    segmenter = load_segmenter(options.model, progress)
    output = mask_output(segmenter.config, options, work)
    scans, set_aside = find_inputs(options.source, segmenter.config, out, work, progress)
    _report_key(progress, scans, work)
    folder = MaskFolder(
        out,
        output,
        scans,
        segmenter.made_by,
        options.overwrite,
        options.probabilities,
        options.uncertainty,
        work.mask_sources,
    )
    workers = 0 if options.workers is None else chosen_workers(options.workers)
    found: dict[str, PredictedScan] = {}
    with folder.writing(options.source), progress.task("predicting", len(scans)) as task:
        tasks, failures = _tasks(scans, folder, options)
        for one, result in predict_each(tasks, segmenter, output, workers, task):
            if isinstance(result, ScanError):
                failures[one.name] = result
            else:
                found[one.name] = result
                folder.add(one.name, result.confidences, result.unlikeness)
    if len(failures) == len(scans) == 1:
        raise next(iter(failures.values()))
    # In the order of the scans, whichever was done first.
    set_aside += [SetAside.from_error(name, failures[name]) for name in scans if name in failures]
    done = {name: found[name] for name in scans if name in found}
    report_warnings(progress, {name: item.warnings for name, item in done.items()})
    predicted = PredictionResult(
        {name: folder.targets[name] for name in done},
        {name: item.confidences for name, item in done.items()},
        {name: item.unlikeness for name, item in done.items()},
        folder.table if done else None,
        tuple(set_aside),
    )
    for name, reasons in predicted.unlike.items():
        progress.message(f"unlike the training: {name}: {'; '.join(reasons)}")
    report_set_aside(progress, set_aside, work.write_quarantine("predictions", set_aside))
    return predicted


def _tasks(
    scans: Scans, folder: MaskFolder, options: PredictOptions
) -> tuple[list[ScanTask], dict[str, ScanError]]:
    """The scans whose masks can be written, and why others cannot."""
    tasks, failures = [], {}
    for name, sources in scans.items():
        try:
            folder.require_writable(name)
        except ScanError as error:
            failures[name] = error
        else:
            files = tuple(folder.files_of(name))
            task = ScanTask(name, sources, folder.targets[name], files, folder.made_by, options)
            tasks.append(task)
    return tasks, failures


def find_inputs(
    source: Path, config: Config, out: Path, work: WorkFolder, progress: Progress = SILENT
) -> tuple[Scans, list[SetAside]]:
    """Name to one source a contrast, and what cannot be read.

    Of a data set with labels only the images are taken; masks of an earlier run below ``out``,
    where that lies inside of ``source``, are no scans.

    Raises:
        ScanError, DataError: nothing there, or another number of contrasts.
    """
    require_outside(source, {"work": work.path})
    scanner = work.scanner(config.reading, progress)
    is_scan = source.is_file() and source.suffix.lower() != ".csv"
    if not source.exists() or (is_scan and len(config.data.contrasts) == 1):
        found = find_scans(source, scanner)
        report_notes(progress, found.notes)
        if not found.sources and found.set_aside:
            raise found.set_aside[0]
        return {name: (scan,) for name, scan in found.sources.items()}, []
    data = config.data
    listing = read_images(source, data.contrasts, scanner, data.missing_contrasts)
    report_notes(progress, listing.notes)
    own = out.resolve()
    earlier = own != source.resolve() and own.is_relative_to(source.resolve())
    scans = {
        name: sources
        for name, sources in listing.images.items()
        if not (earlier and any(_lies_in(own, item) for item in sources if item))
    }
    set_aside = list(listing.set_aside)
    if not scans:
        raise ScanError(
            source,
            expected="at least one scan",
            found="; ".join(item.reason for item in set_aside[:3]) or "no scan outside of `out`",
            remedy="see the reasons, or correct the path",
        )
    return scans, set_aside


def _report_key(progress: Progress, scans: Scans, work: WorkFolder) -> None:
    """Say which private file has the key from the neutral names of DICOM scans to their folders."""
    if any(isinstance(sources[0], DicomSeries) for sources in scans.values()):
        progress.message(
            f"the folder of each DICOM scan is recorded in {work.mask_sources} (may name patients; "
            "only you can read it)"
        )


def _require_followed(options: PredictOptions) -> None:
    """A served model answers with a mask and confidences alone."""
    if options.probabilities:
        raise not_followed("probabilities")
    if options.uncertainty:
        raise not_followed("uncertainty")


def _lies_in(folder: Path, source: ScanSource) -> bool:
    return path_of(source).resolve().is_relative_to(folder)
