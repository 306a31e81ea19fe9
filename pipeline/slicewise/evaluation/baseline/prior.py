"""Training cases in, how often each structure is where in the template out, and where that lies.

Each placement has a prior of its own. A prior can be made without a part of the patients, so that
no case is judged by a prior that its own label went into.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from slicewise.evaluation.baseline.scans import Floats, Mask, NormalizedScan
from slicewise.evaluation.baseline.template_matching import (
    FITS,
    Fit,
    Frame,
    Template,
    frame_of,
    matched,
)


@dataclass(frozen=True)
class Placement:
    """One way to bring the prior onto a scan.

    Attributes:
        fit: how the template is laid onto the scan.
        is_matched: whether it is then moved to where the mean training scan fits best.
    """

    fit: Fit
    is_matched: bool

    def __str__(self) -> str:
        return f"{self.fit}, moved to the best match" if self.is_matched else str(self.fit)


PLACEMENTS = tuple(Placement(fit, is_matched) for is_matched in (False, True) for fit in FITS)


@dataclass(frozen=True)
class Prior:
    """Mean scans and frequencies of structures, one pair a placement.

    Attributes:
        templates: of each fit.
        means: of each placement (C + K, x, y, z): mean contrasts, then frequencies of structures;
            those of the matched placements are missing while they are being made.
        contrast_count: C.
    """

    templates: tuple[Template, ...]
    means: tuple[Floats, ...]
    contrast_count: int

    def frame(self, scan: NormalizedScan, placement: Placement) -> Frame:
        """Where the template of a placement lies in a scan."""
        number = FITS.index(placement.fit)
        frame = frame_of(scan, self.templates[number], placement.fit)
        if not placement.is_matched:
            return frame
        mean = self.means[number]
        return matched(scan, frame, mean[: self.contrast_count], mean[self.contrast_count :])

    def on(self, scan: NormalizedScan, placement: Placement) -> Floats:
        """Frequency of each structure at each voxel of a scan, (K, X, Y, Z)."""
        frequencies = self.means[PLACEMENTS.index(placement)][self.contrast_count :]
        return self.frame(scan, placement).onto_scan(frequencies, scan.shape)

    def laid(self, scan: NormalizedScan, structures: Mask, placement: Placement) -> Floats:
        """What a training case adds: contrasts and structures on the template, (C + K, x, y, z)."""
        shape = self.templates[FITS.index(placement.fit)].shape
        frame = self.frame(scan, placement)
        contrasts = frame.onto_template(scan.contrasts, shape, is_repeated=True)
        return np.concatenate(
            [contrasts, frame.onto_template(structures, shape, is_repeated=False)]
        )

    def save(self, path: Path) -> None:
        """Write for the workers of this very process."""
        path.write_bytes(pickle.dumps(self))


@lru_cache(maxsize=8)
def load_prior(path: Path) -> Prior:
    """Read what ``save`` wrote; a worker reads each prior once."""
    prior: Prior = pickle.loads(path.read_bytes())
    return prior
