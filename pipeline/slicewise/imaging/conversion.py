"""Converts scans of any format to NIfTI, with a JSON sidecar of acquisition parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slicewise import __version__
from slicewise.config import ReadingSection
from slicewise.errors import ScanError
from slicewise.file_names import require_short_name
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.files import write_text
from slicewise.imaging.mark import Writer, marking
from slicewise.imaging.nifti.reading import NiftiVolume
from slicewise.imaging.nifti.writing import write_volume
from slicewise.imaging.scan import ScanSource, read_scan
from slicewise.imaging.volume import Volume


@dataclass(frozen=True)
class Conversion:
    """A volume to be converted.

    Attributes:
        name: of the scan, and of its files.
        source: of the scan.
        folder: of ``NAME.nii.gz`` and ``NAME.json``.
        reading: error handling.
        volumes_together: number of volumes in its series or file.
    """

    name: str
    source: ScanSource
    folder: Path
    reading: ReadingSection
    volumes_together: int = 1

    @property
    def targets(self) -> tuple[Path, Path]:
        """Paths of the volume and its sidecar."""
        return self.folder / f"{self.name}.nii.gz", self.folder / f"{self.name}.json"


@dataclass(frozen=True)
class ConvertedVolume:
    """Properties of a converted volume.

    Attributes:
        name: of the scan, and of its files.
        shape: voxels along each axis.
        spacing_mm: along each axis.
        orientation: of the axes, such as RAS.
        voxel_type: NumPy data type of the voxels.
        files: number of source files.
        warnings: from reading the scan.
        volumes_together: number of volumes in its series or file.
    """

    name: str
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    orientation: str
    voxel_type: str
    files: int
    warnings: tuple[str, ...]
    volumes_together: int


def conversions(
    sources: Mapping[str, ScanSource], folder: Path, reading: ReadingSection
) -> list[Conversion]:
    """A conversion for each scan, in the order of the names."""
    together = _volumes_together(sources)
    return [
        Conversion(name, sources[name], folder, reading, together[name]) for name in sorted(sources)
    ]


def convert_scan(conversion: Conversion) -> ConvertedVolume:
    """Read a volume, and write it with its sidecar.

    Raises:
        ScanError: it cannot be read, or has NaN or infinite voxels.
        OutputError: a file cannot be written.
    """
    source = conversion.source
    for path in conversion.targets:
        require_short_name(path)
    volume = read_scan(source, conversion.reading)
    _require_finite(volume, source)
    content = {
        **volume.acquisition,
        "ConversionSoftware": "slicewise",
        "ConversionSoftwareVersion": __version__,
        "warnings": list(volume.warnings),
    }
    volume_path, facts_path = conversion.targets
    with marking(Writer("convert"), conversion.targets):
        write_volume(volume, volume_path)
        write_text(facts_path, json.dumps(content, indent=2) + "\n")
    return ConvertedVolume(
        name=conversion.name,
        shape=volume.shape,
        spacing_mm=volume.spacing_mm,
        orientation=volume.orientation,
        voxel_type=str(volume.voxels.dtype),
        files=len(_files(source)),
        warnings=volume.warnings,
        volumes_together=conversion.volumes_together,
    )


def _require_finite(volume: Volume, source: ScanSource) -> None:
    broken = int(volume.voxels.size - np.count_nonzero(np.isfinite(volume.voxels)))
    if broken:
        raise ScanError(
            _files(source)[0],
            expected="finite voxels",
            found=f"{broken} NaN or infinite voxels",
            remedy="export the scan again, or set reading.non_finite to zero",
        )


def _files(source: ScanSource) -> list[Path]:
    """Source files of a volume, without repetition."""
    if isinstance(source, DicomSeries):
        return [source.folder / member for member in dict.fromkeys(source.members)]
    return [source.path if isinstance(source, NiftiVolume) else source]


def _volumes_together(sources: Mapping[str, ScanSource]) -> dict[str, int]:
    """Number of volumes in the series or file of each scan, by name."""
    whole: dict[object, list[str]] = {}
    for name, source in sources.items():
        if isinstance(source, DicomSeries):
            whole.setdefault((source.folder, source.series_uid or name), []).append(name)
        else:
            whole.setdefault(_files(source)[0], []).append(name)
    return {name: len(names) for names in whole.values() for name in names}
