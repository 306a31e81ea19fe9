"""What is measured of a scan, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slicewise.dataset.measurements import QUANTILES, measure
from slicewise.imaging.volume import Volume

SHAPE = (16, 8, 24)
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def ramp() -> Volume:
    """Grows by 1 from left to right alone; stored from right to left."""
    voxels = np.broadcast_to(np.arange(16.0)[:, None, None], SHAPE).astype(np.float32)
    facts = {"EchoTime": 0.098, "Modality": "MR", "ImageType": ["ORIGINAL"], "Contrast": "t2"}
    return Volume(voxels, AFFINE, acquisition=facts).reoriented("LAS")


def test_axes_are_those_of_the_body() -> None:
    upright = ramp().reoriented("RAS")
    found = measure([ramp()], torch.from_numpy(upright.voxels.copy())[None])
    assert found.spacing_mm == (1, 2, 3)
    assert found.size_mm == (16, 16, 72)
    assert found.texture == (1, 0, 0)
    assert found.intensities[QUANTILES.index(0.5)] == pytest.approx(7.5)
    blocks = np.reshape(found.thumbnail, (8, 8, 8))
    assert blocks[:, 0, 0].tolist() == [0.5 + 2 * number for number in range(8)]
    assert found.words == {"Kind": "scan with a geometry", "Modality": "MR", "Contrast": "t2"}
    assert found.numbers == {"EchoTime": 0.098}


def test_structures_have_volumes_and_places() -> None:
    scan = ramp()
    mask = np.zeros(SHAPE, np.uint8)
    mask[15, 0, 0] = 3  # stored from right to left: at the very left
    found = measure([scan], torch.zeros(1, *SHAPE)).with_structures(
        scan.with_voxels(mask), {"tip": 3, "missing": 4}, SHAPE, AFFINE
    )
    assert found.volumes_ml == {"tip": 0.006, "missing": 0}
    outer = 2 * (16 * 8 + 8 * 24 + 24 * 16)
    assert found.border == pytest.approx(3 / outer, abs=1e-6)  # it lies on three faces
    assert found.places == {"tip": pytest.approx((0.5 / 16, 0.5 / 8, 0.5 / 24), rel=1e-4)}
