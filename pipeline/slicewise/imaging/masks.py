"""Writes masks in the requested format, one a scan."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from slicewise.errors import DataError, ScanError, UsageError
from slicewise.imaging.dicom.seg.identity import Identity
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.dicom.seg.writing import require_referable, write_segmentation
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.label_table import FOLDER_TABLE, write_colour_table
from slicewise.imaging.nifti.reading import NiftiVolume, is_nifti, stem
from slicewise.imaging.nifti.writing import write_mask
from slicewise.imaging.nrrd.reading import is_nrrd
from slicewise.imaging.nrrd.writing import write_segmentation_nrrd
from slicewise.imaging.pictures import is_picture, mask_suffix, write_picture_mask
from slicewise.imaging.scan import ScanSource, only_series, path_of, source_name
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume


class MaskFormat(StrEnum):
    """File format of masks; the mask of a picture is always a picture."""

    NIFTI = "nifti"
    SEG_NRRD = "seg-nrrd"
    DICOM_SEG = "dicom-seg"


_SUFFIXES = {
    MaskFormat.NIFTI: (".nii.gz", ".nii"),
    MaskFormat.SEG_NRRD: (".seg.nrrd",),
    MaskFormat.DICOM_SEG: (".dcm",),
}
_PICTURE_SUFFIXES = (".png", ".tif", ".tiff")
_OTHER_SUFFIX = re.compile(r".\.[a-z][a-z0-9]{0,4}$", re.IGNORECASE)
_PROBABILITIES, _UNCERTAINTY = "probabilities.nii.gz", "uncertainty.nii.gz"


@dataclass(frozen=True)
class MaskOutput:
    """How the masks of one run are written.

    Attributes:
        format: of the masks, except those of pictures.
        structures: of the values of the masks.
        algorithm: that created the masks.
        identity: how a DICOM SEG identifies the patient.
    """

    format: MaskFormat
    structures: tuple[Structure, ...]
    algorithm: Algorithm
    identity: Identity

    def targets(self, scans: Mapping[str, ScanSource], out: Path) -> dict[str, Path]:
        """Path of each mask: in a folder, or a single named file.

        Raises:
            UsageError: one file for several masks, or a suffix of another format.
        """
        named = is_named_file(out)
        if named and len(scans) > 1:
            raise UsageError(
                f"`out` {out}",
                expected=f"a folder for {len(scans)} masks",
                found="the name of one file",
                remedy="give a folder",
            )
        targets = {}
        is_misnamed = len(scans) == 1 and _looks_like_file(out)
        for name, source in scans.items():
            suffixes = self._suffixes(source)
            if (named and not out.name.lower().endswith(suffixes)) or is_misnamed:
                raise UsageError(
                    f"`out` {out}",
                    expected=f"a folder, or a name that ends in {' or '.join(suffixes)}",
                    found=out.name,
                    remedy="correct the suffix, choose another `format`, or name a folder "
                    "without a suffix",
                )
            targets[name] = out if named else out / f"{name}{suffixes[0]}"
        return targets

    def require_writable(self, source: ScanSource) -> None:
        """Require that the mask of a scan can be written, before anything is computed.

        Raises:
            ScanError: a DICOM SEG is requested, and the scan has no slices that it can refer to.
        """
        if self.format is not MaskFormat.DICOM_SEG or _is_picture(source):
            return
        if isinstance(source, DicomSeries):
            require_referable(source)
        elif isinstance(source, NiftiVolume) or is_nifti(source) or is_nrrd(source):
            raise ScanError(
                path_of(source),
                expected="a DICOM scan, which the segmentation can refer to",
                found="NIfTI or NRRD",
                remedy=f"leave it out, or choose `format` {MaskFormat.SEG_NRRD}",
            )

    def write(self, mask: Volume, scan: Volume, source: ScanSource, target: Path) -> None:
        """Write the mask of a scan after checking its grid.

        Raises:
            GeometryError, LabelError, ScanError, OutputError: see the writers of the formats.
        """
        if _is_picture(source):
            write_picture_mask(mask, target)
        elif self.format is MaskFormat.NIFTI:
            write_mask(mask, scan, target)
        elif self.format is MaskFormat.SEG_NRRD:
            write_segmentation_nrrd(mask, self.structures, target)
        else:
            series = source if isinstance(source, DicomSeries) else only_series(path_of(source))
            write_segmentation(mask, series, self.structures, self.algorithm, target, self.identity)

    def write_labels(self, out: Path) -> None:
        """Write a colour table next to masks whose format has no names."""
        if (table := self.label_table(out)) is not None:
            write_colour_table(self.structures, table)

    def label_table(self, out: Path) -> Path | None:
        """Path of the colour table; None for a format with names."""
        if self.format is not MaskFormat.NIFTI:
            return None
        return out.with_name(f"{stem(out)}.ctbl") if is_named_file(out) else out / FOLDER_TABLE

    @property
    def suffixes(self) -> tuple[str, ...]:
        """That masks may have."""
        return (*_SUFFIXES[self.format], *_PICTURE_SUFFIXES)

    def _suffixes(self, source: ScanSource) -> tuple[str, ...]:
        if not _is_picture(source):
            return _SUFFIXES[self.format]
        first = mask_suffix(path_of(source))
        return (first, *(suffix for suffix in _PICTURE_SUFFIXES if suffix != first))


def _is_picture(source: ScanSource) -> bool:
    return isinstance(source, Path) and source.is_file() and is_picture(source)


def is_named_file(out: Path) -> bool:
    """Whether a path names a single mask, not a folder."""
    every = (*_PICTURE_SUFFIXES, *(suffix for many in _SUFFIXES.values() for suffix in many))
    return out.name.lower().endswith(every) and not out.is_dir()


def _looks_like_file(out: Path) -> bool:
    """Whether a path is named like a file that is no mask, such as ``mask.jpg``."""
    return (
        not out.is_dir() and not is_named_file(out) and _OTHER_SUFFIX.search(out.name) is not None
    )


def find_masks(folder: Path) -> dict[str, Path]:
    """Paths of the NIfTI and picture masks in a folder by name, without their probability maps.

    Raises:
        DataError: two masks of one name.
    """
    named: dict[str, Path] = {}
    for path in sorted(folder.glob("[!.]*")):
        is_map = path.name.endswith((f"_{_PROBABILITIES}", f"_{_UNCERTAINTY}"))
        if is_map or not (is_nifti(path) or is_picture(path)):
            continue
        name = source_name(path)
        if name in named:
            raise DataError(
                folder,
                expected="one mask of each name",
                found=f"{named[name].name} and {path.name}",
                remedy="rename or remove one of them",
            )
        named[name] = path
    return named


def probabilities_path(target: Path) -> Path:
    """Path of the probabilities of a mask."""
    return _next_to(target, _PROBABILITIES)


def uncertainty_path(target: Path) -> Path:
    """Path of the uncertainty map of a mask."""
    return _next_to(target, _UNCERTAINTY)


def confidence_path(out: Path, *, wanted: bool) -> Path | None:
    """Path of the table of all scans: in a folder, or next to a single file if requested."""
    if not is_named_file(out):
        return out / "confidence.csv"
    return _next_to(out, "confidence.csv") if wanted else None


def _next_to(target: Path, ending: str) -> Path:
    every = sorted(
        {*_PICTURE_SUFFIXES, *(suffix for many in _SUFFIXES.values() for suffix in many)}, key=len
    )
    suffix = next(one for one in reversed(every) if target.name.lower().endswith(one))
    return target.with_name(f"{target.name[: -len(suffix)]}_{ending}")
