"""What is known of one slice before its pixels are read, and of a file that gives none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slicewise.errors import GeometryError, ScanError


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """What a file says about one slice's place in a volume. Millimetres; axes are LPS.

    Attributes:
        frame: which frame or mosaic tile of the file it is, counted from 0.
        tiles: number of tiles in a mosaic; 0 for anything else.
        patient_id: as the file has it; private.
        contrast: a word such as ``t1``, from facts that identify nobody; empty where none is told.
        kind: echo time, echo number, image type, complex part and stack: what tells contrasts
            apart. A radiograph adds its own identifier, because it belongs to no stack.
        moments: values that tell repetitions of one position apart, by tag; as text. The last
            one is the file of a mosaic.
        voxel_type: numpy name of the type that holds its rescaled pixels.
        notes: what a user should know about this slice's pixels.
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
    """A file that cannot be part of a volume, and the series that lacks it, where known.

    Attributes:
        path: of the file.
        tag: that is wrong; empty for the file as a whole.
        expected: what would have been right.
        found: what was there instead.
        remedy: what the user can do about it.
        is_geometry: whether voxels and world do not fit together.
        may_pass: whether the same file may be read another time.
        series_uid: of the series; empty where the file does not tell.
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
        """The rejection that an error about a file means."""
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
    """A DICOM SEG and the identifiers of the series whose slices it labels."""

    path: Path
    series_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileContents:
    """What one file holds; all of it is empty where the file is no DICOM image.

    Attributes:
        slices: one, or one a frame or tile.
        rejection: why the file gives no slice although it should.
        labels: the file itself, if it is a DICOM SEG.
    """

    slices: tuple[SliceHeader, ...] = ()
    rejection: Rejection | None = None
    labels: LabelFile | None = None

    @property
    def series_uid(self) -> str:
        """Of the series that the file belongs to; empty where it does not tell."""
        if self.slices:
            return self.slices[0].series_uid
        return self.rejection.series_uid if self.rejection else ""
