"""Fingerprints of scans: what is a copy, what is similar, and what is neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from slicewise.dataset.fingerprints import Digests, digests, signature, vector_of
from slicewise.imaging.volume import Volume


def a_scan(seed: int = 0, shape: tuple[int, int, int] = (12, 9, 7)) -> Volume:
    voxels = np.random.default_rng(seed).integers(0, 4000, shape).astype(np.int16)
    return Volume(voxels, np.diag([1.0, 1.2, 3.0, 1.0]))


def of(voxels: NDArray[Any]) -> Digests:
    return digests(Volume(voxels, np.eye(4)))


@pytest.mark.parametrize("codes", ["LPS", "SAR", "ASL", "PIR"])
def test_storage_order_changes_nothing(codes: str) -> None:
    scan = a_scan()
    assert digests(scan.reoriented(codes)) == digests(scan)


def test_neither_do_header_and_type() -> None:
    voxels = a_scan().voxels
    lost = np.ascontiguousarray(voxels.transpose(2, 0, 1)[::-1, :, ::-1])
    assert of(voxels) == of(lost) == of(voxels.astype(np.float64))


@pytest.mark.parametrize("change", [lambda voxels: voxels * 0.37, lambda voxels: voxels - 1024.0])
def test_rescaled_intensities_keep_their_order(
    change: Callable[[NDArray[Any]], NDArray[Any]],
) -> None:
    voxels = a_scan().voxels
    one, other = of(voxels), of(change(voxels).astype(np.float32))
    assert one.order == other.order
    assert one.voxels != other.voxels


def test_one_other_voxel_is_another_scan() -> None:
    voxels = a_scan().voxels
    changed = voxels.copy()
    changed[5, 5, 5] = 4001
    assert of(voxels).voxels != of(changed).voxels
    assert of(voxels).order != of(changed).order


def test_flat_volumes_differ_by_their_value() -> None:
    flat = np.full((4, 5, 6), 7, dtype=np.uint8)
    assert of(flat) == of(flat.astype(np.float32))
    assert of(flat).order != of(flat + 1).order


def test_voxels_that_are_no_numbers_have_a_digest() -> None:
    voxels = a_scan().voxels.astype(np.float32)
    voxels[0, 0, 0] = np.nan
    assert of(voxels) == of(voxels.copy())


def blobs(seed: int, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Coarse blobs, sampled on any grid."""
    coarse = np.random.default_rng(seed).random((8, 8, 8)) * 100
    return coarse[np.ix_(*(np.arange(size) * 8 // size for size in shape))]


def likeness(one: Volume, other: Volume) -> float:
    return float(vector_of(signature(one)) @ vector_of(signature(other)))


def test_noise_scale_and_size_hardly_change_the_signature() -> None:
    shape = (40, 48, 32)
    scan = Volume(blobs(1, shape), np.eye(4))
    noise = np.random.default_rng(2).normal(0, 5, shape)
    noisy = Volume(scan.voxels * 3 + 10 + noise, np.eye(4)).reoriented("LPS")
    finer = Volume(blobs(1, (64, 64, 64)), np.diag([0.625, 0.75, 0.5, 1.0]))
    assert likeness(scan, scan) == pytest.approx(1, abs=1e-3)
    assert likeness(scan, noisy) > 0.99
    assert likeness(scan, finer) > 0.97
    assert abs(likeness(scan, Volume(blobs(9, shape), np.eye(4)))) < 0.3


def test_a_flat_volume_and_an_image_have_a_signature() -> None:
    assert not vector_of(signature(Volume(np.ones((5, 6, 7)), np.eye(4)))).any()
    image = Volume(blobs(3, (60, 70, 1)), np.diag([-1.0, -1.0, 1.0, 1.0]))
    assert len(vector_of(signature(image))) == 48 * 48
