"""Groups the files of a DICOM series into volumes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slicewise.config import ReadingSection
from slicewise.errors import ScanError
from slicewise.imaging.dicom.copies import originals_and_copies
from slicewise.imaging.dicom.digests import pixel_digests
from slicewise.imaging.dicom.grid import Grid, regular_grid
from slicewise.imaging.dicom.interlocking import with_interlocking_joined
from slicewise.imaging.dicom.projection import RADIOGRAPH
from slicewise.imaging.dicom.resampling import Resampling
from slicewise.imaging.dicom.slice_header import FileContents, Rejection, SliceHeader
from slicewise.imaging.dicom.splitting import Digests, Stack, by_size, stacks, volumes_of
from slicewise.imaging.sandbox import Sandbox
from slicewise.imaging.volume import Affine

SECONDS_PER_FILE = 10.0
CONTINUED = (
    "a slice of this series with another contrast follows at an end: it may belong to this volume"
)
MAXIMUM_VOXELS = 2**30


@dataclass(frozen=True, eq=False, slots=True)
class DicomSeries:
    """Files that make one volume, and its grid.

    Attributes:
        name: readable, safe as a file name, free of the patient's identity.
        folder: common folder of the files.
        members: path below the folder, one a slice, sorted along the normal of the slices; a file
            of many frames repeats.
        frames: index of the frame or mosaic tile of each slice in its file, from 0.
        tiles: number of slices in each mosaic; 0 for other images.
        affine: (4, 4), (column, row, slice) indices to RAS+ millimetres.
        shape: columns, rows, slices.
        voxel_type: NumPy data type of the rescaled values.
        series_uid: SeriesInstanceUID, which a DICOM SEG refers to; private.
        patient: pseudonym; empty without a key.
        study_uid: StudyInstanceUID; private.
        contrast: a word such as ``t1post``; empty if unknown.
        resampling: from irregular slices onto the grid; None if they are on it.
        warnings: about the series.
    """

    name: str
    folder: Path
    members: tuple[str, ...]
    frames: tuple[int, ...]
    tiles: int
    affine: Affine
    shape: tuple[int, int, int]
    voxel_type: str
    series_uid: str = ""
    patient: str = ""
    study_uid: str = ""
    contrast: str = ""
    resampling: Resampling | None = None
    warnings: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """File of each slice."""
        return tuple(self.folder / member for member in self.members)

    def __str__(self) -> str:
        """Folder and name, for messages."""
        return f"{self.folder}: {self.name}"


def series_in(
    held: Iterable[FileContents], reading: ReadingSection, sandbox: Sandbox
) -> tuple[list[DicomSeries], list[ScanError]]:
    """The volumes of a series, and the errors of files that are not part of one.

    Args:
        held: contents of the files, in any order.
        reading: whether irregular slices are resampled.
        sandbox: child processes that compare pixels if positions repeat.
    """
    slices: list[SliceHeader] = []
    rejections: list[Rejection] = []
    for contents in held:
        slices += contents.slices
        if contents.rejection:
            rejections.append(contents.rejection)
    found: list[DicomSeries] = []
    set_aside = merged(rejections)
    digests = partial(
        sandbox.call,
        pixel_digests,
        where=slices[0].path if slices else "",
        timeout_seconds=SECONDS_PER_FILE * len(slices),
    )
    try:
        copies = originals_and_copies(slices, digests)
    except ScanError as error:
        copies = []
        set_aside.append(error)
    for copy in copies:
        of_copy = with_interlocking_joined(stacks(copy), digests)
        for stack in of_copy:
            try:
                _require_whole(stack, rejections)
                found += _volumes(stack, reading, digests, is_alone=len(of_copy) == 1)
            except ScanError as error:
                set_aside.append(error)
    return _uniquely_named(warned_of_neighbours(found)), set_aside


def merged(rejections: Sequence[Rejection]) -> list[ScanError]:
    """One error for each series and reason, instead of one for each file."""
    alike: dict[tuple[str, ...], list[Rejection]] = defaultdict(list)
    for one in rejections:
        # Files without a series are not grouped.
        key = (one.series_uid or str(one.path), one.tag, one.expected, one.found)
        alike[key].append(one)
    errors = []
    for many in alike.values():
        more = f", here and in {len(many) - 1} other files of the series" if len(many) > 1 else ""
        errors.append(replace(many[0], found=many[0].found + more).error)
    return errors


def _volumes(
    stack: Stack, reading: ReadingSection, digests: Digests, *, is_alone: bool
) -> list[DicomSeries]:
    found = []
    for same_size in by_size(stack):
        volumes, warnings = volumes_of(same_size, digests)
        grids = [regular_grid(volume, reading) for volume in volumes]
        if len(grids) == 1 and is_alone:
            warnings += _end_warnings(grids[0])
        found += [_series(grid, warnings) for grid in grids]
    return found


def _end_warnings(grid: Grid) -> tuple[str, ...]:
    numbers = [one.instance_number for one in grid.slices if one.instance_number is not None]
    if len(numbers) < 2 or len(numbers) < len(grid.slices) or grid.slices[-1].frame:
        return ()
    if set(np.diff(numbers)) in ({1}, {-1}) and min(numbers) > 1:
        return (f"instance numbers start at {min(numbers)}: slices may be missing at one end",)
    return ()


def _series(grid: Grid, warnings: tuple[str, ...]) -> DicomSeries:
    first = grid.slices[0]
    shape = (first.columns, first.rows, grid.count)
    if np.prod(shape, dtype=float) > MAXIMUM_VOXELS:
        raise ScanError(
            first.path,
            expected=f"at most {MAXIMUM_VOXELS} voxels",
            found=" x ".join(str(size) for size in shape) + " voxels",
            remedy="split or crop the series",
        )
    notes = tuple(dict.fromkeys(note for one in grid.slices for note in one.notes))
    if len({one.frame_of_reference for one in grid.slices}) > 1:
        notes += ("frame-of-reference UIDs differ; the positions form one regular grid",)
    folder, members = _below_one_folder([one.path for one in grid.slices])
    return DicomSeries(
        name=_name(first, grid.affine, shape),
        folder=folder,
        members=members,
        frames=tuple(one.frame for one in grid.slices),
        tiles=first.tiles,
        affine=grid.affine,
        shape=shape,
        voxel_type="float32" if grid.resampling else _common_type(grid.slices),
        series_uid=first.series_uid,
        study_uid=first.study_uid,
        contrast=first.contrast,
        resampling=grid.resampling,
        warnings=(*warnings, *grid.warnings, *notes),
    )


def _below_one_folder(paths: Sequence[Path]) -> tuple[Path, tuple[str, ...]]:
    folder = paths[0].parent
    while not all(path.is_relative_to(folder) for path in paths):
        folder = folder.parent
    # One string per file, not per frame, because a catalogue may have thousands of volumes.
    texts = {path: str(path.relative_to(folder)) for path in dict.fromkeys(paths)}
    return folder, tuple(texts[path] for path in paths)


def _common_type(slices: Sequence[SliceHeader]) -> str:
    names = {one.voxel_type for one in slices}
    if len(names) == 1:
        return names.pop()
    # If one slice is rescaled, all become floating point.
    return "float32" if "float32" in names else str(np.result_type(*sorted(names)))


def _name(first: SliceHeader, affine: Affine, shape: tuple[int, int, int]) -> str:
    number = first.series_number or 0
    plane = ("sagittal", "coronal", "axial")[int(np.abs(affine[:3, 2]).argmax())]
    if first.contrast == RADIOGRAPH:
        plane = ""
    size = "x".join(map(str, shape))
    facts = (f"s{abs(number) % 10**9:03d}", first.contrast, plane, size)
    return "_".join(fact for fact in facts if fact)


def warned_of_neighbours(found: Sequence[DicomSeries]) -> list[DicomSeries]:
    """Add a warning to volumes that a slice of another contrast continues."""
    places_mm = np.array([one.affine[:3, 3] for one in found if one.shape[2] == 1])
    return [
        replace(one, warnings=(*one.warnings, CONTINUED))
        if len(places_mm) and one.shape[2] > 1 and _is_continued(one, places_mm)
        else one
        for one in found
    ]


def _is_continued(series: DicomSeries, places_mm: NDArray[np.float64]) -> bool:
    """Whether one of some slices, at places of shape (N, 3), is the next one at an end."""
    step_mm = series.affine[:3, 2]
    before_and_after = series.affine[:3, 3] + np.outer([-1, series.shape[2]], step_mm)  # (2, 3)
    apart_mm = np.linalg.norm(before_and_after[:, None] - places_mm, axis=2)  # (2, N)
    return bool(apart_mm.min() < 0.1 * np.linalg.norm(step_mm))


def _uniquely_named(found: Sequence[DicomSeries]) -> list[DicomSeries]:
    total = Counter(one.name for one in found)
    used: Counter[str] = Counter()
    named = []
    for one in found:
        used[one.name] += 1
        many = total[one.name] > 1
        named.append(replace(one, name=f"{one.name}_v{used[one.name]:03d}") if many else one)
    return named


def _require_whole(stack: Stack, rejections: Sequence[Rejection]) -> None:
    """Refuse a series that lacks slices because their files were set aside."""
    if rejections and stack[0].series_uid:
        raise ScanError(
            stack[0].path,
            expected="a series without unusable files",
            found=f"{len(rejections)} unusable and {len(stack)} usable files",
            remedy="correct or remove the unusable files, which are listed with their reasons",
        )
