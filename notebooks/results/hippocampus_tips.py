"""Labels of tiny structures: the 30 voxels of each anterior hippocampus that lie farthest in front.

python notebooks/results/hippocampus_tips.py LABELS OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from slicewise.imaging.nifti.writing import write_volume
from slicewise.imaging.scan import read_scan

ANTERIOR, VOXELS = 1, 30
CORONAL = 1  # axis of a RAS volume


def main(labels: Path, out: Path) -> None:
    """Write a label map of the tip beside each label map of the set."""
    out.mkdir(parents=True)
    for path in sorted(labels.glob("hippocampus_*.nii.gz")):
        label = read_scan(path)
        places = np.argwhere(label.voxels == ANTERIOR)
        front = places[np.argsort(-places[:, CORONAL], kind="stable")][:VOXELS]
        tip = np.zeros(label.voxels.shape, np.uint8)
        tip[tuple(front.T)] = 1
        write_volume(label.with_voxels(tip), out / path.name)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
