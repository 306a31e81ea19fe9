"""Reads the contrasts of a case onto the grid of the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from slicewise.config import DataSection, ReadingSection
from slicewise.dataset.catalogue import Images
from slicewise.errors import DataError, UsageError
from slicewise.imaging.resampling import resampled_onto
from slicewise.imaging.scan import ScanSource, read_scan
from slicewise.imaging.volume import SAME_GRID_VOXELS, Volume, require_same_grid
from slicewise.quantities import counted, listed


@dataclass(frozen=True)
class Lacking:
    """Why a case cannot be used.

    Attributes:
        missing: names of the contrasts.
        expected: what would have been right.
        remedy: what the user can do about it.
        grid: whether no option could help, because the first contrast gives the grid.
    """

    missing: tuple[str, ...]
    expected: str
    remedy: str
    grid: bool = False


def in_order(found: Mapping[str, ScanSource], data: DataSection) -> Images | Lacking:
    """The sources of a case in the order of the channels, or why there are too few.

    Args:
        found: contrast to source.
        data: contrasts, and whether one may be missing.
    """
    missing = tuple(name for name in data.contrasts if name not in found)
    first, *others = data.contrasts
    if first in missing:
        expected = f"{first}, the first contrast, which gives the grid"
        remedy = "add it, leave the case out, or name another contrast first in data.contrasts"
        return Lacking(missing, expected, remedy, grid=True)
    if missing and data.missing_contrasts == "refuse":
        remedy = "add what is missing, or set data.missing_contrasts=zero for a channel of zeros"
        return Lacking(missing, f"all of {', '.join(data.contrasts)}", remedy)
    return (found[first], *tuple(found.get(name) for name in others))


def all_in_order(
    cases: Mapping[str, Mapping[str, ScanSource]], data: DataSection, where: Path
) -> dict[str, Images]:
    """``in_order`` for every case of a data set.

    Raises:
        DataError: required contrasts of cases are missing.
    """
    ordered: dict[str, Images] = {}
    lacking: dict[str, Lacking] = {}
    for case, found in cases.items():
        images = in_order(found, data)
        if isinstance(images, Lacking):
            lacking[case] = images
        else:
            ordered[case] = images
    if not lacking:
        return ordered
    # Cases without the first contrast come first, because no option allows them.
    worst = sorted(lacking.items(), key=lambda item: (not item[1].grid, item[0]))
    raise DataError(
        f"{where}: data.contrasts",
        expected=f"{worst[0][1].expected}, for each case",
        found=listed(f"case {case} without {' and '.join(one.missing)}" for case, one in worst),
        remedy=worst[0][1].remedy,
    )


def require_contrasts(data: DataSection, found: int, where: Path | str) -> None:
    """Require as many images per case as there are contrasts."""
    if found != len(data.contrasts):
        raise UsageError(
            f"{where}: data.contrasts",
            expected=f"{len(data.contrasts)} images per case ({', '.join(data.contrasts)})",
            found=counted(found, "image") + " per case",
            remedy="add the missing images, or list all contrasts in data.contrasts, in the "
            "order of the channels",
        )


def read_each(
    sources: Sequence[ScanSource | None], contrasts: Sequence[str], reading: ReadingSection
) -> list[Volume | None]:
    """Read the contrasts of a case, each on its own grid; None if missing.

    With several contrasts, each warning names its contrast.

    Raises:
        ScanError: a damaged source.
    """
    volumes = [None if source is None else read_scan(source, reading) for source in sources]
    if len(volumes) == 1:
        return volumes
    return [
        None if volume is None else replace(volume, warnings=_named(contrast, volume))
        for contrast, volume in zip(contrasts, volumes, strict=True)
    ]


def read_contrasts(
    sources: Sequence[ScanSource | None], contrasts: Sequence[str], reading: ReadingSection
) -> list[Volume]:
    """Read the contrasts of a case, all on the grid of the first.

    A missing contrast is replaced by zeros, which normalisation does not change.

    Raises:
        ScanError: a damaged source, or grids that differ without resampling.
    """
    return on_one_grid(read_each(sources, contrasts, reading), contrasts, reading)


def on_one_grid(
    volumes: Sequence[Volume | None], contrasts: Sequence[str], reading: ReadingSection
) -> list[Volume]:
    """Reorient or resample contrasts onto the grid of the first.

    Different orders and directions of axes are reoriented. Other grids are resampled, with a
    warning, if ``reading.different_grids`` is ``resample``.

    Raises:
        GeometryError: grids differ without resampling, or do not overlap.
    """
    first = volumes[0]
    assert first is not None, "the first contrast gives the grid"
    others = zip(contrasts[1:], volumes[1:], strict=True)
    return [first, *(_on_grid(volume, first, name, reading) for name, volume in others)]


def _on_grid(
    volume: Volume | None, first: Volume, contrast: str, reading: ReadingSection
) -> Volume:
    if volume is None:
        text = f"{contrast} is missing and replaced by zeros"
        zeros = np.zeros(first.shape, dtype=np.uint8)
        return replace(first, voxels=zeros, name=contrast, header=None, warnings=(text,))
    if _is_on_grid(volume, first):
        return volume
    reoriented = volume.reoriented(first.orientation)
    if _is_on_grid(reoriented, first):
        return reoriented
    if reading.different_grids == "refuse":
        remedy = (
            f"set reading.different_grids to resample to interpolate {contrast} linearly onto this "
            "grid, or correct its header"
        )
        require_same_grid(first, reoriented, remedy=remedy)
    resampled = resampled_onto(volume, first)
    added = resampled.warnings[len(volume.warnings) :]
    texts = (f"{contrast} {text}" for text in added)
    return replace(resampled, warnings=(*volume.warnings, *texts))


def _is_on_grid(volume: Volume, first: Volume) -> bool:
    return first.grid_difference_voxels(volume) <= SAME_GRID_VOXELS


def _named(contrast: str, volume: Volume) -> tuple[str, ...]:
    return tuple(f"{contrast}: {text}" for text in volume.warnings)
