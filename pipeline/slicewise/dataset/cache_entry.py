"""Entries of the slice cache, written atomically: one folder per case."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from slicewise.dataset.case_qc import CheckedCase
from slicewise.dataset.measurements import Measurements
from slicewise.errors import DataError, OutputError, file_problem
from slicewise.imaging.files import part_prefix
from slicewise.imaging.own_files import changed_files, read_checksums, write_checksums
from slicewise.quantities import data_size

_ARRAYS = ("image.npy", "label.npy", "points.npy")
_FACTS = "facts.json"

MAXIMUM_POINTS_A_CLASS = 2000
"""Maximum number of labelled voxels per class that are stored to centre windows on."""


@dataclass(frozen=True)
class CaseFacts:
    """What is known about a scan.

    Attributes:
        checked: what was found out when it was read.
        measurements: with which later scans are compared.
    """

    checked: CheckedCase
    measurements: Measurements

    @classmethod
    def read(cls, folder: Path) -> CaseFacts:
        """Read the facts from an entry of the cache."""
        return _CONTENT.validate_json((folder / _FACTS).read_bytes())

    def of(self, name: str, patient: str) -> CheckedCase:
        """What was found out, under the name of a case; entries are shared by equal scans."""
        return replace(self.checked, name=name, patient=patient)


_CONTENT = TypeAdapter(CaseFacts)


def is_whole(folder: Path) -> bool:
    """Whether an entry has all of its files, and every byte of them is as it was written.

    A power failure may leave empty files, and a disk that ages may change bits of old ones.
    """
    try:
        if read_checksums(folder).keys() != {*_ARRAYS, _FACTS} or changed_files(folder):
            return False
        # An earlier version wrote other facts.
        CaseFacts.read(folder)
    except (DataError, OSError, ValueError, LookupError, TypeError):
        return False
    return True


def store(
    folder: Path, image: NDArray[np.float16], label: NDArray[np.uint8], facts: CaseFacts
) -> None:
    """Write an entry atomically, by renaming its folder."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(".part", part_prefix(folder.parent), folder.parent))
        try:
            arrays: tuple[NDArray[Any], ...] = (
                np.ascontiguousarray(image),
                np.ascontiguousarray(label),
                _points(label),
            )
            for name, array in zip(_ARRAYS, arrays, strict=True):
                np.save(temporary / name, array)
            (temporary / _FACTS).write_bytes(_CONTENT.dump_json(facts))
            write_checksums(temporary, (*_ARRAYS, _FACTS))
            temporary.rename(folder)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            # Another process may have finished the same entry first.
            if not folder.exists():
                raise
    except OSError as error:
        raise OutputError(
            folder,
            expected=f"room for {data_size(image.nbytes + label.nbytes)} in the slice cache",
            found=file_problem(error),
            remedy="free space or choose another folder with `work`; finished cases are kept",
        ) from None


def _points(label: NDArray[np.uint8]) -> NDArray[np.int32]:
    rows = []
    for number in np.unique(label[label > 0]):
        places = np.argwhere(label == number)
        # Evenly spread over the structure, and deterministic.
        step = -(-len(places) // MAXIMUM_POINTS_A_CLASS)
        chosen = places[::step]
        rows.append(np.column_stack([np.full(len(chosen), number), chosen]))
    return np.concatenate(rows).astype(np.int32) if rows else np.zeros((0, 4), dtype=np.int32)
