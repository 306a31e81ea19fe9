"""Predicts one scan: reads it, segments it, and writes its mask and maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from slicewise import __version__
from slicewise.config import Config
from slicewise.dataset.catalogue import Images
from slicewise.dataset.contrasts import read_contrasts
from slicewise.dataset.work_folder import WorkFolder
from slicewise.dataset.workers import Workers, run_on_scans
from slicewise.errors import ModelError, ScanError, UsageError
from slicewise.imaging.dicom.seg.identity import Identity, IdentityMode
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.mark import PREDICT, Writer, marking
from slicewise.imaging.masks import (
    MaskFormat,
    MaskOutput,
    probabilities_path,
    uncertainty_path,
)
from slicewise.imaging.memory import within_memory
from slicewise.imaging.nifti.writing import write_probabilities, write_volume
from slicewise.imaging.scan import ScanSource, read_scan
from slicewise.imaging.structures import structures_of
from slicewise.imaging.volume import Volume
from slicewise.progress import PartOfTask, SilentTask, Task
from slicewise.segmentation.confidence import StructureConfidence, uncertainty
from slicewise.segmentation.prediction import Prediction, Segmenter
from slicewise.segmentation.unlikeness import Unlikeness
from slicewise.workflows.models import load_segmenter

if TYPE_CHECKING:
    from slicewise.workflows.predict import PredictOptions

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True)
class ScanTask:
    """A scan that is to be predicted.

    Attributes:
        name: of the scan.
        sources: one a contrast.
        target: file of its mask.
        files: all files that are written for it.
        made_by: the model.
        options: of the prediction.
    """

    name: str
    sources: Images
    target: Path
    files: tuple[Path, ...]
    made_by: str
    options: PredictOptions


@dataclass(frozen=True)
class PredictedScan:
    """What is known of a mask that was written.

    Attributes:
        confidences: of its structures.
        unlikeness: of its scan.
        warnings: of its scan, and notes of the model.
    """

    confidences: tuple[StructureConfidence, ...]
    unlikeness: Unlikeness
    warnings: tuple[str, ...]


def predict_each(
    tasks: Sequence[ScanTask],
    segmenter: Segmenter,
    output: MaskOutput,
    workers: Workers,
    progress: Task,
) -> Iterator[tuple[ScanTask, PredictedScan | ScanError]]:
    """Predict scans; results are yielded as they complete.

    Args:
        tasks: the scans.
        segmenter: that predicts with 0 workers; others load the model themselves.
        output: writes its masks.
        workers: see ``run_on_scans``.
        progress: receives how far the work is.

    Raises:
        ModelError: workers load another model than this process.
        OutputError: a mask cannot be written.
    """
    if workers:
        results = run_on_scans(_predict_there, tasks, workers)
    else:
        results = _predict_here(tasks, segmenter, output, progress)
    for number, result in enumerate(results, start=1):
        yield result
        progress.update(number)


def mask_output(config: Config, options: PredictOptions, work: WorkFolder) -> MaskOutput:
    """What writes the masks of a prediction.

    Raises:
        UsageError: no such format, or an option that it does not have.
    """
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


def _predict_here(
    tasks: Sequence[ScanTask], segmenter: Segmenter, output: MaskOutput, progress: Task
) -> Iterator[tuple[ScanTask, PredictedScan | ScanError]]:
    for number, task in enumerate(tasks):
        result: PredictedScan | ScanError
        try:
            with within_memory(task.name):
                result = _predict(task, segmenter, output, PartOfTask(progress, number))
        except ScanError as error:
            result = error
        yield task, result


def _predict_there(task: ScanTask) -> PredictedScan:
    """In a process that loads the model once."""
    segmenter = _loaded(task.options.model)
    if segmenter.made_by != task.made_by:
        raise ModelError(
            task.options.model.model,
            expected=f"the model {task.made_by}, as when the command began",
            found=segmenter.made_by,
            remedy="repeat the command, with `overwrite` if its masks are to be replaced",
        )
    output = mask_output(segmenter.config, task.options, WorkFolder(task.options.model.work))
    with marking(Writer(PREDICT, task.made_by), task.files):
        return _predict(task, segmenter, output, SilentTask())


_loaded = cache(load_segmenter)


def _predict(
    task: ScanTask, segmenter: Segmenter, output: MaskOutput, progress: Task
) -> PredictedScan:
    found, volumes = _segment(segmenter, output, task.name, task.sources, progress)
    if task.options.refuse_unlike:
        found.unlikeness.require_alike(task.name)
    _write(found, volumes[0], output, task.sources[0], task.target, task.options)
    warnings = tuple(text for volume in volumes for text in volume.warnings)
    return PredictedScan(tuple(found.confidences), found.unlikeness, (*warnings, *found.notes))


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
        assert found.probabilities, "only networks have an uncertainty"
        write_volume(uncertainty(found.probabilities), uncertainty_path(target))
    output.write(found, scan, source, target)


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
