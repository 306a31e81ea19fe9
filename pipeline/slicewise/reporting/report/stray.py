"""A prediction and its reference in, what the pictures hardly show out: pieces that lie apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.ndimage import generate_binary_structure, label

from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume
from slicewise.metrics.masks import mask_pair
from slicewise.quantities import millilitres
from slicewise.reporting.charts.style import shown_name


def stray_notes(
    predicted: Volume, reference: Volume, structures: Sequence[Structure]
) -> Iterator[str]:
    """A sentence a structure whose prediction has pieces that touch nothing of the reference.

    Voxels belong to one piece when they share a face, an edge or a corner.

    Args:
        predicted: label map.
        reference: label map on the same grid, with axes in the same order.
        structures: what the values mean.
    """
    for structure in structures:
        pair = mask_pair(predicted, reference, structure.value)
        ours, theirs = pair.predicted.voxels, pair.reference.voxels
        if not theirs.any():
            continue
        pieces, count = label(ours, generate_binary_structure(rank=3, connectivity=3))
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        touching = np.unique(pieces[ours & theirs])
        apart = np.setdiff1d(np.arange(1, count + 1), touching)
        if len(apart):
            volume_ml = float(sizes[apart].sum()) * predicted.voxel_volume_ml
            what = "1 piece" if len(apart) == 1 else f"{len(apart)} pieces"
            verb = "touches" if len(apart) == 1 else "touch"
            yield (
                f"{shown_name(structure.name)}: {what} ({millilitres(volume_ml)} ml) {verb} "
                "nothing of the reference"
            )
