"""The slices of a case in, one folder of the cache out: there whole, or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.errors import OutputError, file_problem

_ARRAYS = ("image.npy", "label.npy", "points.npy")
_FACTS = "facts.json"

MAXIMUM_POINTS_A_CLASS = 2000
"""Labelled voxels a class that are remembered to centre windows on."""


@dataclass(frozen=True)
class CaseFacts:
    """What was found out when a scan was read.

    Attributes:
        warnings: what was noticed or repaired.
        structures_ml: label value to its volume on the scan's own grid.
    """

    warnings: list[str]
    structures_ml: dict[int, float]

    @classmethod
    def read(cls, folder: Path) -> CaseFacts:
        """The facts of an entry; JSON turns the label values into text."""
        content = json.loads((folder / _FACTS).read_text())
        structures = {int(value): volume for value, volume in content["structures_ml"].items()}
        return cls(content["warnings"], structures)


def is_whole(folder: Path) -> bool:
    """Whether an entry can be read; after a power cut its files may be empty."""
    if not folder.exists():
        return False
    try:
        for name in _ARRAYS:
            np.load(folder / name, mmap_mode="r")
        CaseFacts.read(folder)
    except (OSError, ValueError, LookupError, EOFError):
        return False
    return True


def store(
    folder: Path, image: NDArray[np.float16], label: NDArray[np.uint8], facts: CaseFacts
) -> None:
    """Write an entry beside its place and rename the folder: it is there whole or not at all."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
        try:
            arrays: tuple[NDArray[Any], ...] = (
                np.ascontiguousarray(image),
                np.ascontiguousarray(label),
                _points(label),
            )
            for name, array in zip(_ARRAYS, arrays, strict=True):
                np.save(beside / name, array)
            (beside / _FACTS).write_text(json.dumps(asdict(facts)))
            beside.rename(folder)
        except OSError:
            shutil.rmtree(beside, ignore_errors=True)
            # Another process may have finished the same entry first.
            if not folder.exists():
                raise
    except OSError as error:
        raise OutputError(
            folder,
            expected=f"room for {image.nbytes + label.nbytes} bytes in the slice cache",
            found=file_problem(error),
            remedy="free space or choose another --work; finished cases are kept",
        ) from None


def _points(label: NDArray[np.uint8]) -> NDArray[np.int32]:
    rows = []
    for number in np.unique(label[label > 0]):
        places = np.argwhere(label == number)
        # Evenly spread over the structure, the same each time.
        step = -(-len(places) // MAXIMUM_POINTS_A_CLASS)
        chosen = places[::step]
        rows.append(np.column_stack([np.full(len(chosen), number), chosen]))
    return np.concatenate(rows).astype(np.int32) if rows else np.zeros((0, 4), dtype=np.int32)
