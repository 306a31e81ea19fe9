"""What the masks of the hippocampus still miss: its outline, or where its two parts meet.

python notebooks/results/hippocampus_rest.py MASKS LABELS
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.imaging.scan import read_scan
from slicewise.metrics.overlap import overlap

ANTERIOR, POSTERIOR = 1, 2
CORONAL = 1  # axis of a RAS volume

LabelMap = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """Dice of a case, and by how many slices its division is too far to the front.

    Attributes:
        patient: whose it is; cases 2k-1 and 2k are the two sides of one person.
        parts: mean of both parts.
        together: both parts against both.
        divided: mean of both parts, divided where it is best.
        error_slices: of the division.
    """

    patient: int
    parts: float
    together: float
    divided: float
    error_slices: int


def main(masks: Path, labels: Path) -> None:
    """Print the means over all cases and the errors of the division."""
    cases = [_case(path, labels / path.name) for path in sorted(masks.glob("*.nii.gz"))]
    print(f"{len(cases)} cases, mean Dice:")
    for name in ("parts", "together", "divided"):
        print(f"  {name:9} {np.mean([getattr(case, name) for case in cases]):.4f}")
    errors = np.array([case.error_slices for case in cases])
    print(f"division: {np.abs(errors).mean():.2f} slices off; cases with 0, 1, 2 ... slices:")
    print(f"  {np.bincount(np.abs(errors)).tolist()}")
    sides = defaultdict(list)
    for case in cases:
        sides[case.patient].append(case.error_slices)
    pairs = np.array([pair for pair in sides.values() if len(pair) == 2])
    print(f"correlation over {len(pairs)} pairs of sides: {np.corrcoef(pairs.T)[0, 1]:.2f}")


def _case(mask_path: Path, label_path: Path) -> Case:
    mask, label = (
        read_scan(path).reoriented("RAS").voxels.astype(int) for path in (mask_path, label_path)
    )
    slices = np.arange(mask.shape[CORONAL])[None, :, None]
    divided = (
        np.where(mask > 0, np.where(slices >= first, ANTERIOR, POSTERIOR), 0)
        for first in range(mask.shape[CORONAL])
    )
    return Case(
        patient=(int(mask_path.name.split("_")[1].split(".")[0]) + 1) // 2,
        parts=_dice(mask, label),
        together=overlap((mask > 0).astype(int), (label > 0).astype(int)).dice,
        divided=max(_dice(candidate, label) for candidate in divided),
        error_slices=_first_anterior(mask) - _first_anterior(label),
    )


def _dice(mask: LabelMap, label: LabelMap) -> float:
    return float(np.mean([overlap(mask, label, part).dice for part in (ANTERIOR, POSTERIOR)]))


def _first_anterior(label_map: LabelMap) -> int:
    """The coronal slice, counted from the back, from which on most voxels are anterior."""
    anterior, posterior = ((label_map == part).sum((0, 2)) for part in (ANTERIOR, POSTERIOR))
    return int(np.flatnonzero(anterior > posterior).min())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
