"""A folder of DICOM files in, the series in it that are volumes out, and what is not one."""

from __future__ import annotations

import stat
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.errors import ScanError, file_problem
from pipeline.imaging.dicom.grid import Grid, regular_grid
from pipeline.imaging.dicom.header import Rejection, SliceHeader, pixel_digests, scan_headers
from pipeline.imaging.dicom.splitting import Stack, by_size, stacks, volumes_of
from pipeline.imaging.sandbox import ChildDiedError, Sandbox, shared_sandbox
from pipeline.imaging.volume import Affine

FILES_PER_CALL = 64
SECONDS_PER_FILE = 10.0
MAXIMUM_VOXELS = 2**31


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """Files that make one volume, and its grid.

    Attributes:
        name: readable, safe as a file name, unique in its folder, free of the patient's identity.
        files: one a slice, sorted along the normal of the slices; a file of many frames repeats.
        frames: which frame or mosaic tile of its file each slice is, counted from 0.
        affine: (4, 4), (column, row, slice) indices to RAS+ millimetres.
        shape: columns, rows, slices.
        voxel_type: numpy name of the type that holds the rescaled values.
        warnings: what was noticed or repaired.
    """

    name: str
    files: tuple[Path, ...]
    frames: tuple[int, ...]
    affine: Affine
    shape: tuple[int, int, int]
    voxel_type: str
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """For messages: the folder and the name."""
        return f"{self.files[0].parent}: {self.name}"


@dataclass(frozen=True)
class SeriesScan:
    """What a folder holds: volumes, and the reasons why other files are none."""

    series: tuple[DicomSeries, ...]
    set_aside: tuple[ScanError, ...]


def find_series(folder: Path, sandbox: Sandbox | None = None) -> SeriesScan:
    """Sort the DICOM files that lie in a folder, not below it, into volumes.

    No file is parsed in this process. Files are known by content: what is no DICOM is ignored
    unless it is called ``.dcm``, and so are reports, other objects without an image, and
    ``DICOMDIR``.

    Args:
        folder: its files may belong to several series, in any order and under any names.
        sandbox: where headers are parsed; by default the one of this process.

    Raises:
        ScanError: the folder cannot be listed.
    """
    sandbox = sandbox or shared_sandbox()
    files, set_aside = _regular_files(folder)
    headers, rejections = _scan(files, sandbox)
    set_aside += _merged(rejections)
    damaged = Counter(one.series_uid for one in rejections if one.series_uid is not None)
    found: list[DicomSeries] = []
    for stack in stacks(headers):
        try:
            _require_whole(stack, damaged)
            found += _series_of(stack, sandbox)
        except ScanError as error:
            set_aside.append(error)
    if any(one.series_uid is None for one in rejections):
        found = [_warned_of_unreadable_files(one) for one in found]
    return SeriesScan(tuple(_uniquely_named(found)), tuple(set_aside))


def _regular_files(folder: Path) -> tuple[list[Path], list[ScanError]]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise _cannot_open(folder, error) from error
    files, problems = [], []
    for path in entries:
        try:
            # Pipes and devices are left out: opening one may never end.
            if stat.S_ISREG(path.stat().st_mode) and path.name.upper() != "DICOMDIR":
                files.append(path)
        except OSError as error:
            problems.append(_cannot_open(path, error))
    return files, problems


def _scan(files: Sequence[Path], sandbox: Sandbox) -> tuple[list[SliceHeader], list[Rejection]]:
    headers, rejections = [], []
    for start in range(0, len(files), FILES_PER_CALL):
        for found in _scan_batch(files[start : start + FILES_PER_CALL], sandbox):
            if isinstance(found, SliceHeader):
                headers.append(found)
            elif found is not None:
                rejections.append(found)
    return headers, rejections


def _scan_batch(batch: Sequence[Path], sandbox: Sandbox) -> list[SliceHeader | Rejection | None]:
    call = partial(sandbox.call, scan_headers, where=batch[0], timeout_seconds=SECONDS_PER_FILE)
    try:
        return call(batch)
    except ChildDiedError as error:
        if len(batch) == 1:
            return [Rejection(error)]
    # One hostile file must not take the others with it.
    return [found for path in batch for found in _scan_batch([path], sandbox)]


def _series_of(stack: Stack, sandbox: Sandbox) -> list[DicomSeries]:
    found = []
    digests = partial(
        sandbox.call,
        pixel_digests,
        where=stack[0].path,
        timeout_seconds=SECONDS_PER_FILE * len(stack),
    )
    for same_size in by_size(stack):
        volumes, warnings = volumes_of(same_size, digests)
        grids = [regular_grid(volume) for volume in volumes]
        if len(grids) == 1:
            warnings += _end_warnings(grids[0])
        found += [_series(grid, warnings) for grid in grids]
    return found


def _end_warnings(grid: Grid) -> tuple[str, ...]:
    numbers = [one.instance_number for one in grid.slices if one.instance_number is not None]
    if len(numbers) < 2 or len(numbers) < len(grid.slices):
        return ()
    if set(np.diff(numbers)) in ({1}, {-1}) and min(numbers) > 1:
        return (f"instance numbers start at {min(numbers)}: slices may be missing at one end",)
    return ()


def _series(grid: Grid, warnings: tuple[str, ...]) -> DicomSeries:
    first = grid.slices[0]
    shape = (first.columns, first.rows, len(grid.slices))
    if np.prod(shape, dtype=float) > MAXIMUM_VOXELS:
        raise ScanError(
            first.path,
            expected=f"at most {MAXIMUM_VOXELS} voxels",
            found=" x ".join(str(size) for size in shape),
            remedy="split or crop the series",
        )
    notes = tuple(dict.fromkeys(note for one in grid.slices for note in one.notes))
    if len({one.frame_of_reference for one in grid.slices}) > 1:
        notes += ("frame-of-reference UIDs differ; the positions form one regular grid",)
    return DicomSeries(
        name=_name(first, grid.affine, shape),
        files=tuple(one.path for one in grid.slices),
        frames=(0,) * len(grid.slices),
        affine=grid.affine,
        shape=shape,
        voxel_type=_common_type(grid.slices),
        warnings=(*warnings, *grid.warnings, *notes),
    )


def _common_type(slices: Sequence[SliceHeader]) -> str:
    names = {one.voxel_type for one in slices}
    if len(names) == 1:
        return names.pop()
    # A slice with a rescale beside one without: all of them become what the first one needs.
    return "float32" if "float32" in names else str(np.result_type(*sorted(names)))


def _name(first: SliceHeader, affine: Affine, shape: tuple[int, int, int]) -> str:
    number = first.series_number or 0
    plane = ("sagittal", "coronal", "axial")[int(np.abs(affine[:3, 2]).argmax())]
    columns, rows, count = shape
    return f"s{abs(number) % 10**9:03d}_{plane}_{columns}x{rows}x{count}"


def _uniquely_named(found: Sequence[DicomSeries]) -> list[DicomSeries]:
    total = Counter(one.name for one in found)
    used: Counter[str] = Counter()
    named = []
    for one in found:
        used[one.name] += 1
        many = total[one.name] > 1
        named.append(replace(one, name=f"{one.name}_v{used[one.name]:03d}") if many else one)
    return named


def _require_whole(stack: Stack, damaged: Counter[str]) -> None:
    """Refuse a series that lacks slices because their files were set aside."""
    count = damaged[stack[0].series_uid]
    if count:
        raise ScanError(
            stack[0].path,
            expected="every file of its series to be usable",
            found=f"{count} files of it that are not, {len(stack)} that are",
            remedy="see the reasons given for those files; correct or remove them",
        )


def _warned_of_unreadable_files(series: DicomSeries) -> DicomSeries:
    text = "the folder holds unreadable files: slices may be missing at an end"
    return replace(series, warnings=(*series.warnings, text))


def _merged(rejections: Sequence[Rejection]) -> list[ScanError]:
    """One error for each series and reason, not one for each of its many files."""
    alike: dict[tuple[str | None, str], list[ScanError]] = defaultdict(list)
    alone = []
    for one in rejections:
        if one.series_uid is None:
            alone.append(one.error)
        else:
            alike[one.series_uid, one.error.reason].append(one.error)
    for errors in alike.values():
        first = errors[0]
        if len(errors) > 1:
            found = f"{first.found}, here and in {len(errors) - 1} other files of the series"
            first = type(first)(
                first.where, expected=first.expected, found=found, remedy=first.remedy
            )
        alone.append(first)
    return alone


def _cannot_open(path: Path, error: OSError) -> ScanError:
    return ScanError(
        path,
        expected="a file or folder that can be read",
        found=file_problem(error),
        remedy="correct its permissions, restore it, or remove the broken link",
    )
