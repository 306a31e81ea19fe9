"""The cases of a catalogue in, each checked and drawn out, in worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slicewise.config import Config
from slicewise.dataset.case_qc import CheckedCase, Examined, examine
from slicewise.dataset.catalogue import Case, Catalogue
from slicewise.dataset.worker_pool import run_on_scans
from slicewise.errors import ScanError
from slicewise.imaging.structures import structures_of
from slicewise.reporting.data_check.thumbnails import Thumbnail, draw_thumbnail, outline_colours


@dataclass(frozen=True)
class CaseTask:
    """What a worker needs for one case."""

    case: Case
    config: Config
    with_picture: bool

    @property
    def name(self) -> str:
        """Of the case, for messages."""
        return self.case.name


@dataclass(frozen=True)
class SeenCase:
    """What a worker hands back: facts and a few kilobytes of picture, no voxels."""

    case: CheckedCase
    thumbnail: Thumbnail | None = None


def see_cases(
    catalogue: Catalogue, config: Config, workers: int, *, with_pictures: bool
) -> Iterator[SeenCase]:
    """Read every case to its last voxel; yields each when it is done."""
    tasks = [CaseTask(case, config, with_pictures) for case in catalogue.cases]
    for task, result in run_on_scans(see_case, tasks, workers):
        if isinstance(result, ScanError):
            case = CheckedCase(task.name, task.case.patient, labelled=task.case.label is not None)
            case.problems.append(result.reason)
            yield SeenCase(case)
        else:
            yield result


def see_case(task: CaseTask) -> SeenCase:
    """Check one case and, while its volumes are at hand, draw its most telling slice."""
    examined = examine(task.case, task.config)
    thumbnail = _draw(examined, task.config) if task.with_picture else None
    return SeenCase(examined.case, thumbnail)


def _draw(examined: Examined, config: Config) -> Thumbnail | None:
    if examined.image is None:
        return None
    structures = structures_of(config.data.labels, config.structures)
    colours = outline_colours(examined.case.structures, structures)
    return draw_thumbnail(examined.image, examined.label, examined.case.plane, colours)
