"""The way back to the grid of a scan, against the inverse of MONAI's transforms."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose, allow_missing_keys_mode
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from slicewise.config import DataSection, PreprocessingSection
from slicewise.dataset.native_grid import Box, NativeGrid
from slicewise.dataset.preprocessing import Preprocessing
from slicewise.imaging.volume import Volume

SECTIONS = [
    PreprocessingSection(),
    PreprocessingSection(crop_foreground=True),
    PreprocessingSection(spacing_mm=(0.6, 1.7)),
    PreprocessingSection(spacing_mm=(1.0, 1.3), crop_foreground=True),
    PreprocessingSection(longest_side=16),
]


def a_scan(seed: int, oblique: bool, skewed: bool) -> Volume:
    """Random voxels, empty at one side, axes stored in any order and direction."""
    random = np.random.default_rng(seed)
    voxels = random.random(random.integers(1, 20, 3)) + 0.1
    voxels[: len(voxels) // 3] = 0
    affine = np.eye(4)
    affine[:3, :3] = np.diag(random.uniform(0.5, 3, 3) * random.choice([-1, 1], 3))
    if oblique:
        affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() @ affine[:3, :3]
    if skewed:
        affine[0, 2] += 0.4
    affine[:3, 3] = random.uniform(-50, 50, 3)
    order = random.permutation(3)
    return Volume(voxels.transpose(order), affine[:, [*order, 3]])


class Remembering(Preprocessing):
    """Keeps its transforms, which MONAI inverts only itself."""

    last: Compose

    def _chain(self, upright: Volume, axis: int) -> Compose:
        self.last = super()._chain(upright, axis)
        return self.last


def inverted_by_monai(
    transforms: Compose, values: NDArray[np.float32], image: MetaTensor
) -> NDArray[np.float32]:
    carried = MetaTensor(values, meta=image.meta)
    carried.applied_operations = deepcopy(image.applied_operations)
    with allow_missing_keys_mode(transforms):
        native: MetaTensor = transforms.inverse({"image": carried})["image"]
    return native.numpy()


@given(
    seed=st.integers(0, 10_000),
    section=st.sampled_from(SECTIONS),
    oblique=st.booleans(),
    skewed=st.booleans(),
    step=st.integers(1, 5),
)
@settings(deadline=None, max_examples=60)
def test_it_inverts_the_preprocessing(
    seed: int, section: PreprocessingSection, oblique: bool, skewed: bool, step: int
) -> None:
    scan = a_scan(seed, oblique, skewed)
    chain = Remembering(section, DataSection())
    image, _ = chain.from_volumes([scan])
    values = np.random.default_rng(seed).random((2, *image.shape[1:]), dtype=np.float32)
    grid = NativeGrid.of(scan, image)
    native = grid.whole(values)
    np.testing.assert_allclose(native, inverted_by_monai(chain.last, values, image), atol=1e-6)
    slabs = [
        grid.slab(lambda box: values[(slice(None), *box)], slice(start, min(start + step, rows)))
        for rows in [scan.shape[0]]
        for start in range(0, rows, step)
    ]
    np.testing.assert_allclose(np.concatenate(slabs, 1), native, atol=1e-6)


@pytest.mark.parametrize("section", SECTIONS, ids=str)
def test_a_slab_reads_no_more_than_it_needs(section: PreprocessingSection) -> None:
    random = np.random.default_rng(0)
    scan = Volume(random.random((30, 20, 10)) + 0.1, np.diag([1.0, 1.0, 3.0, 1.0]))
    image, _ = Preprocessing(section, DataSection()).from_volumes([scan])
    read: list[Any] = []

    def values(box: Box) -> NDArray[np.float32]:
        read.append(image.numpy()[(slice(None), *box)].shape)
        return image.numpy()[(slice(None), *box)]

    NativeGrid.of(scan, image).slab(values, slice(10, 13))
    ((_, rows, _, _),) = read
    assert rows <= np.ceil(3 * image.shape[1] / 30) + 2
