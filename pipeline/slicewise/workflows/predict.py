"""Predicts scans: finds them, segments each, writes its mask on the scan's own grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from slicewise import __version__
from slicewise.config import Config
from slicewise.dataset.catalogue import Images, SetAside
from slicewise.dataset.contrasts import read_contrasts
from slicewise.dataset.layouts import read_images
from slicewise.dataset.work_folder import WorkFolder, require_outside
from slicewise.errors import ScanError, UsageError
from slicewise.evaluation.confidence_table import least_confident_first
from slicewise.imaging.dicom.seg.identity import Identity, IdentityMode
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.finding import find_scans
from slicewise.imaging.masks import (
    MaskFormat,
    MaskOutput,
    probabilities_path,
    uncertainty_path,
)
from slicewise.imaging.memory import within_memory
from slicewise.imaging.nifti.writing import write_probabilities, write_volume
from slicewise.imaging.scan import ScanSource, path_of, read_scan
from slicewise.imaging.structures import structures_of
from slicewise.imaging.volume import Volume
from slicewise.progress import SILENT, PartOfTask, Progress, Task
from slicewise.segmentation.confidence import StructureConfidence, uncertainty
from slicewise.segmentation.prediction import Prediction, Segmenter
from slicewise.segmentation.unlikeness import Unlikeness
from slicewise.workflows.mask_folder import MaskFolder
from slicewise.workflows.messages import report_notes, report_set_aside, report_warnings
from slicewise.workflows.models import ModelOptions, load_segmenter, not_followed

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


@dataclass
class _Done:
    """What came of the scans so far."""

    masks: dict[str, Path] = field(default_factory=dict)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    confidences: dict[str, tuple[StructureConfidence, ...]] = field(default_factory=dict)
    unlikeness: dict[str, Unlikeness] = field(default_factory=dict)
    failures: dict[str, ScanError] = field(default_factory=dict)


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
    output = _mask_output(segmenter.config, options, work)
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
    done = _Done()
    with folder.writing(options.source), progress.task("predicting", len(scans)) as task:
        for number, (name, sources) in enumerate(scans.items()):
            try:
                with within_memory(name):
                    folder.require_writable(name)
                    part = PartOfTask(task, number)
                    found, volumes = _segment(segmenter, output, name, sources, part)
                    if options.refuse_unlike:
                        found.unlikeness.require_alike(name)
                    _write(found, volumes[0], output, sources[0], folder.targets[name], options)
                    folder.add(name, found.confidences, found.unlikeness)
            except ScanError as error:
                done.failures[name] = error
                set_aside.append(SetAside.from_error(name, error))
            else:
                done.masks[name] = folder.targets[name]
                done.confidences[name] = found.confidences
                done.unlikeness[name] = found.unlikeness
                texts = (text for volume in volumes for text in volume.warnings)
                done.warnings[name] = tuple(texts)
                # The next scan needs the memory.
                del found, volumes
            task.update(number + 1)
    if len(done.failures) == len(scans) == 1:
        raise next(iter(done.failures.values()))
    report_warnings(progress, done.warnings)
    table = folder.table if done.masks else None
    result = PredictionResult(
        done.masks, done.confidences, done.unlikeness, table, tuple(set_aside)
    )
    for name, reasons in result.unlike.items():
        progress.message(f"unlike the training: {name}: {'; '.join(reasons)}")
    report_set_aside(progress, set_aside, work.write_quarantine("predictions", set_aside))
    return result


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


def _segment(
    segmenter: Segmenter, output: MaskOutput, name: str, sources: Images, task: Task
) -> tuple[Prediction, Sequence[Volume]]:
    """The mask of a scan, and its contrasts."""
    output.require_writable(sources[0])
    config = segmenter.config
    if len(sources) == len(config.data.contrasts):
        volumes = read_contrasts(sources, config.data.contrasts, config.reading)
    else:
        # Refused by the model, which names its contrasts.
        volumes = [read_scan(source, config.reading) for source in sources if source is not None]
    found = segmenter.predict(*volumes, case=name, task=task)
    return found, volumes


def _write(
    found: Prediction,
    scan: Volume,
    output: MaskOutput,
    source: ScanSource | None,
    target: Path,
    options: PredictOptions,
) -> None:
    assert source is not None, "the first contrast is never missing"
    if options.probabilities:
        write_probabilities(found.probabilities, scan, probabilities_path(target))
    if options.uncertainty:
        write_volume(uncertainty(found.probabilities), uncertainty_path(target))
    output.write(found, scan, source, target)


def _mask_output(config: Config, options: PredictOptions, work: WorkFolder) -> MaskOutput:
    chosen = _chosen("format", options.format, MaskFormat)
    if options.identity is not None and chosen is not MaskFormat.DICOM_SEG:
        raise UsageError(
            f"`identity` {options.identity}",
            expected=f"`format` {MaskFormat.DICOM_SEG}: no other format names a patient",
            found=f"`format` {chosen}",
            remedy="leave it out, or choose the format",
        )
    mode = _chosen("identity", options.identity or IdentityMode.PSEUDONYM, IdentityMode)
    return MaskOutput(
        chosen,
        structures_of(config.data.labels, config.structures),
        Algorithm(config.model_name, __version__),
        Identity(mode, work.pseudonyms),
    )


def _require_followed(options: PredictOptions) -> None:
    """A served model answers with a mask and confidences alone."""
    if options.probabilities:
        raise not_followed("probabilities")
    if options.uncertainty:
        raise not_followed("uncertainty")


def _lies_in(folder: Path, source: ScanSource) -> bool:
    return path_of(source).resolve().is_relative_to(folder)


def _chosen(option: str, text: str, choices: type[Choice]) -> Choice:
    try:
        return choices(text)
    except ValueError:
        raise UsageError(
            f"`{option}` {text}",
            expected=" or ".join(choices),
            found=text,
            remedy="correct the option",
        ) from None
