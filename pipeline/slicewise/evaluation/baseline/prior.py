"""Priors: how often each structure was at each place of a template, and where that lies in a scan.

Each alignment has a prior of its own. A prior can be made without a part of the patients, so that
no case is scored with a prior that its own label is part of.
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
class Alignment:
    """One way to bring the prior onto a scan.

    Attributes:
        fit: how the template is laid onto the scan.
        is_matched: whether it is then moved to where the mean training scan fits best.
    """

    fit: Fit
    is_matched: bool

    def __str__(self) -> str:
        return f"{self.fit}, moved to the best match" if self.is_matched else str(self.fit)


ALIGNMENTS = tuple(Alignment(fit, is_matched) for is_matched in (False, True) for fit in FITS)


@dataclass(frozen=True)
class Prior:
    """Mean scans and frequencies of structures, one pair a alignment.

    Attributes:
        templates: of each fit.
        means: of each alignment (C + K, x, y, z): mean contrasts, then frequencies of structures;
            those of the matched alignments are missing while they are being made.
        contrast_count: C.
    """

    templates: tuple[Template, ...]
    means: tuple[Floats, ...]
    contrast_count: int

    def frame(self, scan: NormalizedScan, alignment: Alignment) -> Frame:
        """Where the template of a alignment lies in a scan."""
        number = FITS.index(alignment.fit)
        frame = frame_of(scan, self.templates[number], alignment.fit)
        if not alignment.is_matched:
            return frame
        mean = self.means[number]
        return matched(scan, frame, mean[: self.contrast_count], mean[self.contrast_count :])

    def on(self, scan: NormalizedScan, alignment: Alignment) -> Floats:
        """Frequency of each structure at each voxel of a scan, (K, X, Y, Z)."""
        frequencies = self.means[ALIGNMENTS.index(alignment)][self.contrast_count :]
        return self.frame(scan, alignment).onto_scan(frequencies, scan.shape)

    def on_template(self, scan: NormalizedScan, structures: Mask, alignment: Alignment) -> Floats:
        """What a training case adds: contrasts and structures on the template, (C + K, x, y, z)."""
        shape = self.templates[FITS.index(alignment.fit)].shape
        frame = self.frame(scan, alignment)
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
