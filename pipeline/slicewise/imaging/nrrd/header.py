"""Reads and validates the headers of NRRD files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.errors import GeometryError, ScanError, file_problem
from slicewise.imaging.content import NRRD, with_actual_format
from slicewise.imaging.nifti.stream import damaged
from slicewise.imaging.volume import Affine

MAXIMUM_BYTES = 8 * 2**30
_LONGEST_HEADER_BYTES = 2**20
_TYPES = {
    "int8": "signed char|int8|int8_t",
    "uint8": "uchar|unsigned char|uint8|uint8_t",
    "int16": "short|short int|signed short|signed short int|int16|int16_t",
    "uint16": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "int32": "int|signed int|int32|int32_t",
    "uint32": "uint|unsigned int|uint32|uint32_t",
    "int64": "longlong|long long|long long int|signed long long|int64|int64_t",
    "uint64": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "float32": "float",
    "float64": "double",
}
_TYPE_OF = {name: kind for kind, names in _TYPES.items() for name in names.split("|")}
_TO_RAS = {
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
}
_VECTOR = re.compile(r"\(([^()]*)\)|none", re.IGNORECASE)


@dataclass(frozen=True)
class NrrdHeader:
    """Header of a file whose voxels follow it.

    Attributes:
        fields: field to value, in lower case.
        keys: key to value, such as ``Segment0_Name``.
        dtype: of the stored voxels.
        sizes: along each axis; the first is that of the layers if there are several.
        affine: (4, 4), voxel indices to RAS+ millimetres.
        is_compressed: whether the voxels are compressed by gzip.
        offset: byte at which they start.
    """

    fields: Mapping[str, str]
    keys: Mapping[str, str]
    dtype: np.dtype[Any]
    sizes: tuple[int, ...]
    affine: Affine
    is_compressed: bool
    offset: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis in space."""
        i, j, k = self.sizes[-3:]
        return i, j, k

    @property
    def layers(self) -> int:
        """Number of layers, which have a volume each."""
        return self.sizes[0] if len(self.sizes) == 4 else 1


def nrrd_header(path: Path) -> NrrdHeader:
    """The header of a file; the voxels are not read.

    Raises:
        ScanError: no NRRD header, voxels elsewhere, excessive sizes, or an unknown encoding.
        GeometryError: no position in the patient.
    """
    try:
        fields, keys, offset = _parsed(path)
    except ScanError as error:
        raise with_actual_format(error, path, (NRRD,)) from None
    if "data file" in fields or "datafile" in fields:
        raise _unsupported(path, "data file", "voxels in another file")
    for name in ("byte skip", "byteskip", "line skip", "lineskip"):
        if fields.get(name, "0") != "0":
            raise _unsupported(path, name, fields[name])
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise _unsupported(path, "encoding", encoding or "no encoding")
    dtype, sizes = _dtype(path, fields), _sizes(path, fields)
    if int(np.prod(sizes, dtype=object)) * dtype.itemsize > MAXIMUM_BYTES:
        raise ScanError(
            f"{path}: sizes",
            expected=f"at most {MAXIMUM_BYTES // 2**30} GiB of voxels",
            found=f"{' x '.join(map(str, sizes))} voxels of {dtype.itemsize} bytes",
            remedy="crop the scan, or export it again if the header is wrong",
        )
    affine = _affine(path, fields, len(sizes))
    return NrrdHeader(fields, keys, dtype, sizes, affine, encoding != "raw", offset)


def _parsed(path: Path) -> tuple[dict[str, str], dict[str, str], int]:
    try:
        with path.open("rb") as file:
            start = file.read(_LONGEST_HEADER_BYTES)
    except OSError as error:
        raise damaged(path, "a readable file", file_problem(error)) from None
    end = re.search(rb"\r?\n\r?\n", start)
    if not start.startswith(b"NRRD000") or end is None:
        raise damaged(path, "an NRRD header that ends in an empty line", "another beginning")
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    for line in start[: end.start()].decode(errors="replace").splitlines()[1:]:
        name, separator, value = line.partition(":")
        if line.startswith("#") or not separator:
            continue
        if value.startswith("="):
            keys[name] = value[1:].replace("\\n", "\n").replace("\\\\", "\\")
        else:
            fields[name.strip().lower()] = value.strip()
    return fields, keys, end.end()


def _dtype(path: Path, fields: Mapping[str, str]) -> np.dtype[Any]:
    name = fields.get("type", "no type").lower()
    if name not in _TYPE_OF:
        raise _unsupported(path, "type", name)
    dtype = np.dtype(_TYPE_OF[name])
    endian = fields.get("endian", "").lower()
    if dtype.itemsize > 1 and endian not in ("little", "big"):
        raise damaged(path, "the byte order: endian little or big", endian or "no byte order")
    return dtype.newbyteorder("<" if endian == "little" else ">")


def _sizes(path: Path, fields: Mapping[str, str]) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in fields.get("sizes", "").split())
    except ValueError:
        sizes = ()
    if len(sizes) not in (3, 4) or min(sizes) < 1 or fields.get("dimension") != str(len(sizes)):
        found = f"dimension {fields.get('dimension')}, sizes {fields.get('sizes')}"
        raise damaged(path, "three dimensions of at least 1, or four with layers", found)
    return sizes


def _affine(path: Path, fields: Mapping[str, str], axes: int) -> Affine:
    space = fields.get("space", "").lower()
    units = set(re.findall(r'"([^"]*)"', fields.get("space units", ""))) - {"mm", ""}
    if space not in _TO_RAS or units:
        raise GeometryError(
            f"{path}: space",
            expected="a position in the patient, such as left-posterior-superior, in millimetres",
            found=", ".join([space or "no position", *sorted(units)]),
            remedy="export the scan again with its orientation, or as NIfTI",
        )
    columns = [_vector(found[1]) for found in _VECTOR.finditer(fields.get("space directions", ""))]
    origins = [_vector(found[1]) for found in _VECTOR.finditer(fields.get("space origin", ""))]
    spatial = columns[-3:]
    if (
        len(columns) != axes
        or len(origins) != 1
        or any(vector is None for vector in (*spatial, *origins))
        or any(vector is not None for vector in columns[:-3])
    ):
        raise _no_affine(path, fields)
    affine = np.eye(4)
    affine[:3] = np.diag(_TO_RAS[space]) @ np.array([*spatial, *origins], dtype=np.float64).T
    box = float(np.prod(np.linalg.norm(affine[:3, :3], axis=0)))
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) <= 1e-9 * box:
        raise _no_affine(path, fields)
    return affine


def _vector(text: str | None) -> NDArray[np.float64] | None:
    try:
        numbers = [float(number) for number in (text or "").split(",")]
    except ValueError:
        return None
    return np.array(numbers) if len(numbers) == 3 else None


def _no_affine(path: Path, fields: Mapping[str, str]) -> GeometryError:
    return GeometryError(
        f"{path}: space directions, space origin",
        expected="a direction for each axis in space, and an origin",
        found="; ".join(
            fields.get(key, f"no {key}") for key in ("space directions", "space origin")
        ),
        remedy="export the scan again, or as NIfTI",
    )


def _unsupported(path: Path, field: str, found: str) -> ScanError:
    return ScanError(
        f"{path}: {field}",
        expected="one file with its voxels as numbers, plain or compressed by gzip",
        found=found,
        remedy="export it again as NRRD in a single file, or as NIfTI",
    )
