"""Headers of DICOM slices, and rejections of files without usable slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slicewise.errors import GeometryError, ScanError


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """Attributes of one slice that define its place in a volume; in millimetres, LPS axes.

    Attributes:
        frame: index of the frame or mosaic tile in the file, from 0.
        tiles: number of tiles in a mosaic; 0 for anything else.
        patient_id: PatientID of the file; private.
        contrast: a word such as ``t1``, without identifying information; empty if unknown.
        kind: echo time, echo number, image type, complex part and stack, which distinguish
            contrasts. A radiograph has its own identifier, because it is not part of a stack.
        moments: values that distinguish repetitions of a position, by tag; as text. The last one
            is the file of a mosaic.
        voxel_type: NumPy data type of the rescaled pixels.
        notes: warnings about the pixels.
    """

    path: Path
    frame: int
    tiles: int
    patient_id: str
    study_uid: str
    series_uid: str
    instance_uid: str
    series_number: int | None
    instance_number: int | None
    contrast: str
    kind: tuple[float, str, str, str, str]
    moments: tuple[tuple[str, str], ...]
    trigger_time_ms: float | None
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    row_spacing_mm: float
    column_spacing_mm: float
    thickness_mm: float | None
    stated_step_mm: float | None
    frame_of_reference: str
    rows: int
    columns: int
    voxel_type: str
    rescale: tuple[float, float]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A file that cannot be part of a volume.

    Attributes:
        path: of the file.
        tag: with the invalid value; empty if the whole file is invalid.
        expected: valid content.
        found: actual content.
        remedy: what the user can do.
        is_geometry: whether the geometry is invalid.
        may_pass: whether the error may be temporary.
        series_uid: of the series; empty if unknown.
    """

    path: Path
    tag: str
    expected: str
    found: str
    remedy: str
    is_geometry: bool = False
    may_pass: bool = False
    series_uid: str = ""

    @classmethod
    def of(
        cls, path: Path, error: ScanError, series_uid: str = "", *, may_pass: bool = False
    ) -> Rejection:
        """Rejection for an error about a file."""
        return cls(
            path,
            tag=error.where.removeprefix(str(path)).removeprefix(": "),
            expected=error.expected,
            found=error.found,
            remedy=error.remedy,
            is_geometry=isinstance(error, GeometryError),
            may_pass=may_pass,
            series_uid=series_uid,
        )

    @property
    def error(self) -> ScanError:
        """The rejection as a named error."""
        kind = GeometryError if self.is_geometry else ScanError
        where = f"{self.path}: {self.tag}" if self.tag else self.path
        return kind(where, expected=self.expected, found=self.found, remedy=self.remedy)


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A DICOM SEG and the identifiers of the series that it refers to."""

    path: Path
    series_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileContents:
    """Contents of a file; empty if it has no image.

    Attributes:
        slices: one, or one per frame or tile.
        rejection: why an image has no usable slice.
        labels: set if the file is a DICOM SEG.
        is_dicom: whether it is a DICOM file at all.
    """

    slices: tuple[SliceHeader, ...] = ()
    rejection: Rejection | None = None
    labels: LabelFile | None = None
    is_dicom: bool = True

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID of the file; empty if unknown."""
        if self.slices:
            return self.slices[0].series_uid
        return self.rejection.series_uid if self.rejection else ""
