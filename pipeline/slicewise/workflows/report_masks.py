"""The report of masks without scores: volumes of each structure, and pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from slicewise.config import Config
from slicewise.dataset.layouts import read_images
from slicewise.dataset.work_folder import WorkFolder
from slicewise.errors import DataError, LabelError, ScanError, SlicewiseError, UsageError
from slicewise.evaluation.confidence_table import read_confidences
from slicewise.imaging.label_table import structures_next_to
from slicewise.imaging.labels import whole_numbers
from slicewise.imaging.mark import require_one_maker
from slicewise.imaging.masks import confidence_path, find_masks
from slicewise.imaging.memory import within_memory
from slicewise.imaging.pictures import is_picture, read_picture_mask
from slicewise.imaging.scan import ScanSource, read_scan
from slicewise.imaging.structures import COLOURS, Structure
from slicewise.imaging.volume import Volume
from slicewise.progress import Progress, tracked
from slicewise.quantities import counted
from slicewise.reporting.report.contents import Report
from slicewise.reporting.report.failures import volume_outliers
from slicewise.tracking.run_index import RunPlace
from slicewise.workflows.report_cases import CaseReader, with_cases

_MOST_VALUES = 256
"""More values than any label map has; a scan has more."""


def report_of_masks(place: RunPlace, work: Path, progress: Progress, *, viewer: bool) -> Report:
    """Volumes of each structure, which of them are odd, and pictures where the scans are given.

    Args:
        place: folder of the masks, and that of their scans.
        work: the work folder.
        progress: receives sentences about masks that cannot be read.
        viewer: whether the page has one.

    Raises:
        DataError: no mask can be read, two have one name, or they are of several models.
        UsageError: these are no masks.
    """
    paths = find_masks(place.folder)
    require_one_maker(paths.values(), place.folder)
    masks: dict[str, dict[int, float]] = {}
    in_pixels: dict[str, bool] = {}
    for name, path in tracked(paths.items(), progress, "reading masks", len(paths)):
        try:
            with within_memory(path):
                masks[name], in_pixels[name] = _volumes(path)
        except ScanError as error:
            progress.message(f"left out: {name}: {error.reason}")
    if not masks:
        raise DataError(
            place.folder,
            expected="masks",
            found="no mask that can be read",
            remedy="see the reasons",
        )
    first = next(iter(paths.values()))
    structures = _structures(first, sorted({value for found in masks.values() for value in found}))
    volumes_ml = {
        item.name: {name: found.get(item.value, 0.0) for name, found in masks.items()}
        for item in structures
    }
    all_in_pixels = any(in_pixels.values())
    config = Config.defaults("masks")
    unlike = _unlike(place.folder, masks)
    report = Report(
        name="Masks",
        folds=(),
        structures=structures,
        scores=(),
        summaries=(),
        headline=None,
        volumes_ml=volumes_ml,
        failures=tuple(volume_outliers(volumes_ml, unlike, in_pixels=all_in_pixels)),
        compared=(),
        cases=(),
        viewer=None,
        network=None,
        notes=(
            "These masks have no scores: there is no reference that they were compared with. "
            "`slicewise evaluate` scores them where there is one.",
            *_unlike_note(unlike, len(masks)),
        ),
        provenance={"what": counted(len(masks), "mask")},
        in_pixels=all_in_pixels,
    )
    images, reason = _images(place.data_root, config, work, list(masks), progress)
    reader = CaseReader(config, structures, images, {}, paths, reason)
    return with_cases(report, reader, progress, viewer=viewer)


def _unlike(folder: Path, masks: Collection[str]) -> dict[str, str]:
    """Name of each mask whose scan is unlike those of the training, to the reasons.

    Raises:
        OutputError: the table of confidences next to the masks cannot be read.
    """
    table = confidence_path(folder, wanted=False)
    if table is None or not table.exists():
        return {}
    _, compared = read_confidences(table)
    return {
        name: "; ".join(item.reasons)
        for name, item in compared.items()
        if item.reasons and name in masks
    }


def _unlike_note(unlike: Collection[str], masks: int) -> Iterator[str]:
    if unlike:
        verb = "is" if len(unlike) == 1 else "are"
        yield (
            f"{len(unlike)} of {counted(masks, 'scan')} {verb} unlike those that the model was "
            "trained on. The list of failures says in what; check these masks with care."
        )


def _volumes(path: Path) -> tuple[dict[int, float], bool]:
    """Volume of each label in millilitres; areas in pixels if the spacing is unknown.

    Raises:
        ScanError: the mask cannot be read.
        UsageError: its values are those of a scan.
    """
    mask = _stored(path)
    try:
        labels = whole_numbers(mask.voxels, path.name)
    except LabelError as error:
        raise _no_mask(path, error.found) from error
    values, counts = np.unique(labels, return_counts=True)
    if values[0] < 0:
        raise _no_mask(path, "negative values")
    if len(values) > _MOST_VALUES:
        raise _no_mask(path, f"{len(values)} different values")
    volumes = {
        int(value): int(count) * mask.voxel_size
        for value, count in zip(values, counts, strict=True)
        if value
    }
    return volumes, not mask.spacing_is_known


def _no_mask(path: Path, found: str) -> UsageError:
    return UsageError(
        path.name,
        expected=f"a mask: at most {_MOST_VALUES} whole numbers, none of them negative",
        found=found,
        remedy="give the folder of the masks as `run`, and that of the scans by `data`",
    )


def _stored(path: Path) -> Volume:
    return read_picture_mask(path) if is_picture(path) else read_scan(path)


def _structures(mask: Path, values: Sequence[int]) -> tuple[Structure, ...]:
    """What a colour table next to the masks names, and the values that it does not name."""
    named = structures_next_to(mask)
    known = {structure.value for structure in named}
    return (
        *named,
        *(
            Structure(f"label {value}", value, COLOURS[(value - 1) % len(COLOURS)])
            for value in values
            if value not in known
        ),
    )


def _images(
    root: Path | None, config: Config, work: Path, names: Sequence[str], progress: Progress
) -> tuple[dict[str, ScanSource], str]:
    again = "Report again with --data DIR, the folder of the scans."
    if root is None:
        return {}, f"No pictures of cases: the scans are not given. {again}"
    try:
        scanner = WorkFolder(work).scanner(config.reading, progress)
        # Only the first contrast is drawn.
        listing = read_images(root, config.data.contrasts, scanner, missing_contrasts="zero")
    except SlicewiseError as error:
        progress.message(f"the scans cannot be read: {error}")
        return {}, f"No pictures of cases: the scans cannot be read. {again}"
    found = {name: listing.images[name][0] for name in names if name in listing.images}
    return found, "" if found else f"No pictures of cases: no scan has the name of a mask. {again}"
