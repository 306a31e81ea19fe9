"""The recipe that the search chose for a structure, and the mask that it makes of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf

from slicewise.evaluation.baseline.intensity import Grouping, bounds, classes_of
from slicewise.evaluation.baseline.morphology import Morphology, morphed
from slicewise.evaluation.baseline.prior import Alignment, Prior
from slicewise.evaluation.baseline.scans import Floats, Mask, NormalizedScan


@dataclass(frozen=True)
class Threshold:
    """Which voxels a structure takes before its mask is morphed.

    A voxel counts where the structure was often in training, or where it was sometimes and the
    intensity fits.

    Attributes:
        alignment: how the prior is brought onto the scan.
        grouping: classes of intensity.
        first: darkest class that fits, 0 the darkest of all.
        last: brightest class that fits.
        low: least prior where the intensity fits; 0 asks for no prior.
        high: least prior where the intensity does not matter; None asks for it everywhere.
    """

    alignment: Alignment
    grouping: Grouping
    first: int
    last: int
    low: float
    high: float | None

    @property
    def asks_intensity(self) -> bool:
        """Whether some classes of intensity do not fit."""
        return self.last - self.first + 1 < self.grouping.count

    def mask(self, scan: NormalizedScan, prior: Floats, number: int) -> Mask:
        """The voxels of a structure.

        Args:
            scan: normalised.
            prior: frequencies of all structures on the scan under the alignment, (K, X, Y, Z).
            number: of the structure among them.
        """
        own = prior[number]
        likely: Mask = own >= self.low
        if not self.asks_intensity:
            return likely
        classes = classes_of(scan, self.grouping, prior)
        fits = likely & (classes >= self.first) & (classes <= self.last)
        return fits if self.high is None else fits | (own >= self.high)

    def description(self, contrasts: Sequence[str]) -> str:
        """In words, for people."""
        prior = f"prior >= {self.low:g}"
        placed = f"prior {self.alignment}"
        if not self.asks_intensity:
            return f"{prior}; {placed}"
        fits = self._fits(contrasts)
        if self.low:
            fits = f"{prior} and {fits}"
        if self.high is not None:
            fits = f"{fits}, or prior >= {self.high:g}"
        is_placed = self.low or self.high is not None or self.grouping.basis == "near"
        return f"{fits}; {placed}" if is_placed else fits

    def _fits(self, contrasts: Sequence[str]) -> str:
        grouping = self.grouping
        of = "all contrasts" if grouping.contrast is None else contrasts[grouping.contrast]
        if grouping.basis == "fixed":
            start, end = bounds(grouping, self.first, self.last)
            if isinf(start) or isinf(end):
                return f"normalised {of} " + (f"< {end:g}" if isinf(start) else f">= {start:g}")
            return f"normalised {of} from {start:g} to {end:g}"
        where = "near the structures" if grouping.basis == "near" else "of the whole scan"
        return f"{_which(self.first, self.last, grouping.count)} ({of}, {where})"


@dataclass(frozen=True)
class Recipe:
    """How one structure is found.

    Attributes:
        threshold: which voxels it takes.
        morphology: what is done to them.
        training_dice: mean over the cases that the search looked at, each with a prior of others.
    """

    threshold: Threshold
    morphology: Morphology
    training_dice: float

    def mask(self, scan: NormalizedScan, prior: Prior, number: int) -> tuple[Mask, Floats]:
        """The structure in a scan, and how often it was at each voxel in training."""
        frequencies = prior.on(scan, self.threshold.alignment)
        rough = self.threshold.mask(scan, frequencies, number)
        return morphed(rough, scan, self.morphology), frequencies[number]

    def description(self, contrasts: Sequence[str]) -> str:
        """In words, for people."""
        morphology = self.morphology
        steps = [
            f"opening {morphology.opening}" if morphology.opening else "",
            f"closing {morphology.closing}" if morphology.closing else "",
            "largest component" if morphology.is_largest else "",
            f"watershed within {morphology.watershed}" if morphology.watershed else "",
        ]
        return "; ".join([self.threshold.description(contrasts), *filter(None, steps)])


def _which(first: int, last: int, count: int) -> str:
    chosen = last - first + 1
    if first == 0:
        return f"darkest {chosen} of {count} k-means classes"
    if last == count - 1:
        return f"brightest {chosen} of {count} k-means classes"
    numbers = f"class {first + 1}" if chosen == 1 else f"classes {first + 1} to {last + 1}"
    return f"k-means {numbers} of {count} from dark to bright"
