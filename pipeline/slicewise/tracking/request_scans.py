"""Reads the scans of a request to a served model, within limits that its environment sets."""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicewise.config import Config, PreprocessingSection, ReadingSection
from slicewise.dataset.contrasts import on_one_grid
from slicewise.dataset.plane import voxels_after_resampling
from slicewise.errors import ScanError, UsageError
from slicewise.imaging.nifti.header import dimensions, nifti_header
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.volume import Volume

Row = Mapping[Hashable, Any]
"""Column to value; None or NaN where a column is missing."""
ALLOWED_FOLDER = "SLICEWISE_ALLOWED_FOLDER"
"""Environment variable with the only folder below which a served model opens files by path; unset,
it opens none."""
MAX_MEGAVOXELS = "SLICEWISE_MAX_MEGAVOXELS"
"""Environment variable with the largest scan that a served model reads, in 10^6 voxels."""
DEFAULT_MEGAVOXELS = 100.0
_GZIP_START = b"\x1f\x8b"


@dataclass(frozen=True)
class ScanLimits:
    """What a request may ask for.

    Attributes:
        allowed_folder: requests may name files below it by path; None permits none.
        max_megavoxels: largest scan, in 10^6 voxels.
    """

    allowed_folder: Path | None = None
    max_megavoxels: float = DEFAULT_MEGAVOXELS

    @classmethod
    def from_environment(cls) -> ScanLimits:
        """The limits that the environment variables set.

        Raises:
            UsageError: a size that is no positive number, or a folder that does not exist.
        """
        folder = os.environ.get(ALLOWED_FOLDER)
        if folder and not Path(folder).is_dir():
            raise UsageError(
                ALLOWED_FOLDER,
                expected="the folder below which requests may name files",
                found=f"{folder!r}, which is no folder",
                remedy="correct or unset the environment variable",
            )
        text = os.environ.get(MAX_MEGAVOXELS, str(DEFAULT_MEGAVOXELS))
        try:
            megavoxels = float(text)
        except ValueError:
            megavoxels = math.nan
        if not 0 < megavoxels < math.inf:
            raise UsageError(
                MAX_MEGAVOXELS,
                expected="the largest scan in millions of voxels, such as 100",
                found=text.strip() or "an empty text",
                remedy="correct or unset the environment variable",
            )
        return cls(Path(folder) if folder else None, megavoxels)

    def to_environment(self) -> None:
        """Set the environment variables."""
        os.environ[MAX_MEGAVOXELS] = f"{self.max_megavoxels:g}"
        os.environ.pop(ALLOWED_FOLDER, None)
        if self.allowed_folder is not None:
            os.environ[ALLOWED_FOLDER] = str(self.allowed_folder.resolve())


def read_row(
    row: Row,
    number: int,
    folder: Path,
    config: Config,
    grids: Iterable[Callable[[Volume], PreprocessingSection]],
    limits: ScanLimits,
) -> Sequence[Volume]:
    """Read the scans of one row of a request.

    Args:
        row: of the request.
        number: of the row, from 1, for errors.
        folder: takes decoded files.
        config: contrasts, and how unusual scans are read.
        grids: give the preprocessing of a scan, whose grid is limited as well.
        limits: checked before voxels are read or resampled.

    Returns:
        One volume per contrast, in their order, on one grid.

    Raises:
        ScanError: a file that is damaged, too large, on another grid, or not permitted.
    """
    names = config.data.contrasts
    endings = [f"_{name}" for name in names] if len(names) > 1 else [""]
    volumes = []
    for place, ending in enumerate(endings):
        where = f"row {number}, nifti{ending}"
        path = _file(row, ending, where, folder / f"row{number}_{place + 1}.nii.gz", limits)
        volume = _read(path, where, config.reading, limits)
        for preprocessing_of in grids:
            voxels = voxels_after_resampling(volume, preprocessing_of(volume))
            found = f"{voxels:,.0f} voxels at the spacing of the model"
            _require_size(voxels, found, where, limits)
        volumes.append(volume)
    return on_one_grid(volumes, names, config.reading)


def _file(row: Row, ending: str, where: str, place: Path, limits: ScanLimits) -> Path:
    """The file of one contrast: decoded and written to ``place``, or named by its path."""
    given = {key: row.get(f"{key}{ending}") for key in ("nifti", "path")}
    texts = {key: value for key, value in given.items() if isinstance(value, str)}
    if len(texts) != 1:
        raise ScanError(
            where,
            expected=f"one of nifti{ending} and path{ending}",
            found="both" if texts else "neither as text",
            remedy="send the file in base64; see the input example of the model",
        )
    if "path" in texts:
        return _permitted(texts["path"], where, limits.allowed_folder)
    content = _decoded(texts["nifti"], where)
    # The reader infers compression from the suffix.
    path = place if content[:2] == _GZIP_START else place.with_suffix("")
    path.write_bytes(content)
    return path


def _permitted(text: str, where: str, folder: Path | None) -> Path:
    """The file that a path names, if it is one that may be read."""
    expected = "a file below the permitted folder"
    if folder is None:
        expected, found = "a file in base64", "a path, which this server does not permit"
    else:
        try:
            # Resolved, so that neither .. nor a link leads out of the folder.
            path = Path(text).resolve()
            if not path.is_relative_to(folder.resolve()):
                found = "a path elsewhere"
            elif path.is_file():
                return path
            else:
                # Opening a pipe would wait for ever.
                found = "no file, or a special one"
        except (OSError, ValueError, RuntimeError):
            found = "no path that can be followed"
    raise ScanError(
        where,
        expected=expected,
        found=found,
        remedy="send the file in base64 in the column nifti",
    )


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ScanError(
            where,
            expected="a .nii.gz file in base64",
            found="text that is not base64",
            remedy="encode the bytes of the file, without line breaks",
        ) from None


def _read(path: Path, where: str, reading: ReadingSection, limits: ScanLimits) -> Volume:
    try:
        shape, count = dimensions(path, nifti_header(path))
        found = f"{' x '.join(map(str, shape))} voxels" + (f", {count} times" if count > 1 else "")
        _require_size(math.prod(shape) * count, found, where, limits)
        return read_nifti(path, reading)
    except ScanError as error:
        # The path is that of a temporary file or of a folder of the server.
        raise type(error)(
            where, expected=error.expected, found=error.found, remedy=error.remedy
        ) from None


def _require_size(voxels: float, found: str, where: str, limits: ScanLimits) -> None:
    if voxels > limits.max_megavoxels * 1e6:
        raise ScanError(
            where,
            expected=f"at most {limits.max_megavoxels:g} million voxels",
            found=found,
            remedy="crop the scan, or ask whoever runs the service for a higher limit",
        )
