"""Rules for structures that look alike, so that only their place tells them apart.

That coordinates help rests on lumbar spines (RESULTS.md, *Coordinates as input channels*): on two
folds of three.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from slicewise.planning.draft import Draft
from slicewise.planning.fingerprint import Fingerprint, StructureFacts
from slicewise.quantities import listed

MAX_LIKENESS_RATIO = 1.25
"""Structures look alike whose volumes and extents differ by no more than this ratio (median).

Neighbouring vertebrae differ by up to 1.2, left and right structures by 1.1, and anterior and
posterior hippocampus by 1.4."""
_KEY = "network.coordinates"
_MIRRORING = ("augmentation.mirror_axes", "inference.mirror_axes")


def plan_coordinates(draft: Draft, fingerprint: Fingerprint) -> None:
    """Coordinates as input channels, where slices of one plane do not tell structures apart."""
    alike = alike_structures(fingerprint)
    if not alike:
        draft.choose(_KEY, False, "")
        return
    mirrored = [key for key in _MIRRORING if draft.overrides.get(key)]
    found = f"{listed(alike)} look alike (volumes and extents within {MAX_LIKENESS_RATIO:g} times)"
    if mirrored:
        draft.choose(_KEY, False, f"{found}, but {mirrored[0]} is set, which mixes their places")
    elif draft["preprocessing.plane"] == "all":
        draft.choose(_KEY, False, f"{found}, but slices of three planes tell their places apart")
    else:
        draft.choose(_KEY, True, f"{found}: in a slice only their place tells them apart")


def alike_structures(fingerprint: Fingerprint) -> list[str]:
    """Structures with another one of like volume and extents, in the order of the labels."""
    alike = set()
    for (one, first), (other, second) in combinations(fingerprint.labels.items(), 2):
        ratios = [
            _ratios(case.structures[first], case.structures[second])
            for case in fingerprint.cases
            if first in case.structures and second in case.structures
        ]
        if ratios and np.median(ratios, axis=0).max() <= MAX_LIKENESS_RATIO:
            alike |= {one, other}
    return [name for name in fingerprint.labels if name in alike]


def _ratios(first: StructureFacts, second: StructureFacts) -> list[float]:
    """How many times larger the larger one is: its volume, and its extent along each axis."""
    pairs = zip((first.voxels, *first.extent_mm), (second.voxels, *second.extent_mm), strict=True)
    return [max(pair) / min(pair) for pair in pairs]
