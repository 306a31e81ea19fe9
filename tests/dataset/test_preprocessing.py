"""Preprocessing: voxels stay where they are in the world, and the way back is the same way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates

from slicewise.config import DataSection, PreprocessingSection, ReadingSection
from slicewise.dataset.native_grid import NativeGrid
from slicewise.dataset.plane import slice_axis
from slicewise.dataset.preprocessing import (
    NormalizeForegroundd,
    Preprocessing,
    UnnamedLabelError,
    foreground_mask,
    to_slices,
)
from slicewise.dataset.transforms import AntiAliasd
from slicewise.errors import GeometryError, LabelError, ScanError
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.scan import read_scan
from slicewise.imaging.volume import Volume
from slicewise.lean_monai import MetaTensor

Write = Callable[..., Path]
Storage = tuple[tuple[int, int, int], tuple[int, ...]]

STORAGES: list[Storage] = [
    ((0, 1, 2), ()),
    ((0, 1, 2), (0, 1)),
    ((2, 0, 1), (0,)),
    ((1, 2, 0), (1, 2)),
    ((1, 0, 2), (0, 1, 2)),
]
DATA = DataSection(labels={"first": 2, "second": 5})
TWO_CONTRASTS = DATA.model_copy(update={"contrasts": ("T1", "T2")})
EVERY_VOXEL = PreprocessingSection(foreground="all", clip_percentiles=(0, 100))

storages = pytest.mark.parametrize("storage", STORAGES, ids=str)


def world_mm(affine: Any, index: Any) -> NDArray[np.float64]:
    return (np.asarray(affine, dtype=float) @ [*index, 1.0])[:3]


def values(tensor: torch.Tensor) -> NDArray[np.float64]:
    return np.asarray(tensor, dtype=np.float64)


# Geometry


@storages
def test_landmark_stays_in_its_place(
    scan: Any, write: Write, tmp_path: Path, storage: Storage
) -> None:
    voxels = scan.voxels.copy()
    voxels[3, 7, 1] = 9000
    label = np.zeros_like(scan.label)
    label[3, 7, 1] = 5
    stored = type(scan)(voxels, label, scan.affine).stored(*storage)
    image = write(tmp_path / "a.nii.gz", stored.voxels, stored.affine)
    mask = write(tmp_path / "l.nii.gz", stored.label, stored.affine)
    loaded, axis = Preprocessing(EVERY_VOXEL, DATA).load([image], mask)
    assert loaded["image"].shape == loaded["label"].shape == (1, 10, 13, 6)
    found = np.unravel_index(int(loaded["image"][0].argmax()), (10, 13, 6))
    assert found == (3, 7, 1)
    np.testing.assert_allclose(
        world_mm(loaded["image"].affine, found), world_mm(scan.affine, (3, 7, 1)), atol=1e-4
    )
    # The thickest voxels lie along the third axis: slice 1, row 3, column 7.
    assert axis == 2
    assert to_slices(loaded["image"], axis)[1, 0, 3, 7] == loaded["image"].max()
    assert to_slices(loaded["label"], axis)[1, 0, 3, 7] == 2
    assert int(loaded["label"].sum()) == 2


@storages
@pytest.mark.parametrize(
    ("plane", "axis", "shape"),
    [
        ("sagittal", 0, (10, 1, 13, 6)),
        ("coronal", 1, (13, 1, 10, 6)),
        ("axial", 2, (6, 1, 10, 13)),
        ("thickest", 2, (6, 1, 10, 13)),
    ],
)
def test_plane_does_not_depend_on_storage(
    scan: Any, storage: Storage, plane: Any, axis: int, shape: tuple[int, ...]
) -> None:
    section = PreprocessingSection(plane=plane)
    image, found = Preprocessing(section, DATA).from_volumes([scan.stored(*storage).volume])
    assert found == axis
    assert to_slices(image, axis).shape == shape


@pytest.mark.parametrize(
    ("spacing_mm", "axis"),
    [
        ((3, 1, 1), 0),
        ((1, 3, 1), 1),
        ((1, 1, 3), 2),
        ((1, 1, 1), 2),
        ((1.0002, 1, 1), 2),
        ((2, 2, 1), 1),
    ],
)
def test_thickest_axis(spacing_mm: tuple[float, float, float], axis: int) -> None:
    voxels = np.zeros((4, 5, 6), dtype=np.uint8)
    grid = Volume(voxels, np.diag([*spacing_mm, 1.0]))
    assert slice_axis(grid, PreprocessingSection()) == axis
    # The same voxels stored with their axes in the order z, x, y.
    permuted = Volume(voxels.transpose(2, 0, 1), grid.affine[:, [2, 0, 1, 3]])
    assert slice_axis(permuted, PreprocessingSection()) == axis


@storages
@pytest.mark.parametrize("plane", ["sagittal", "coronal", "axial"])
def test_way_back_is_exact_without_resampling(scan: Any, storage: Storage, plane: Any) -> None:
    stored = scan.stored(*storage)
    chain = Preprocessing(PreprocessingSection(plane=plane), DATA)
    image, axis = chain.from_volumes([stored.volume])
    one = torch.from_numpy(scan.voxels.astype(np.float32))[None]
    carried = to_slices(torch.cat([one, -one]), axis).movedim(0, axis + 1).numpy()
    native = NativeGrid.of(stored.volume, image).whole(carried)
    assert native.shape == (2, *stored.voxels.shape)
    np.testing.assert_array_equal(native[0], stored.voxels)
    np.testing.assert_array_equal(native[1], -stored.voxels.astype(float))


@storages
def test_resampling_leaves_voxels_in_their_places(
    scan: Any, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A linear ramp of world coordinates is itself after any correct linear resampling."""
    monkeypatch.setattr(
        NormalizeForegroundd, "_normalize", lambda _, voxels, out: np.copyto(out, voxels)
    )
    index = np.stack(np.indices(scan.voxels.shape), -1)
    ramp = (index @ scan.affine[:3, :3].T + scan.affine[:3, 3]) @ [1.0, -2.0, 0.5]
    stored = type(scan)(ramp, scan.label, scan.affine).stored(*storage)
    section = EVERY_VOXEL.model_copy(update={"spacing_mm": (0.6, 1.7)})
    chain = Preprocessing(section, DATA)
    image, _ = chain.from_volumes([stored.volume])
    spacing_mm = np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0)
    np.testing.assert_allclose(spacing_mm, [0.6, 1.7, 3.5], atol=1e-5)
    assert image.shape[3] == 6
    where = np.stack(np.indices(image.shape[1:]), -1)
    affine = np.asarray(image.affine, dtype=float)
    expected = (where @ affine[:3, :3].T + affine[:3, 3]) @ [1.0, -2.0, 0.5]
    inside = (slice(1, -1), slice(1, -1), slice(None))
    np.testing.assert_allclose(values(image[0])[inside], expected[inside], atol=1e-4)
    back = NativeGrid.of(stored.volume, image).whole(image.numpy())[0]
    assert back.shape == stored.voxels.shape
    middle = tuple(slice(2, -2) if size > 6 else slice(None) for size in back.shape)
    np.testing.assert_allclose(back[middle], stored.voxels[middle], atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "expected"), [((61, 31, 1), (21, 11, 1)), ((30, 41, 1), (16, 21, 1))]
)
def test_pictures_of_one_size(shape: tuple[int, int, int], expected: tuple[int, int, int]) -> None:
    section = EVERY_VOXEL.model_copy(update={"longest_side": 21})
    ramp = np.indices(shape).sum(0).astype(np.float32)
    picture = Volume(ramp, np.diag([-1.0, -1.0, 1.0, 1.0]), spacing_is_known=False)
    image, _ = Preprocessing(section, DATA).from_volumes([picture])
    assert image.shape[1:] == expected
    # The outer pixels lie where they lay.
    corner = np.array([*np.array(expected) - 1, 1])
    far = np.asarray(image.affine) @ corner
    assert np.abs(far[:2] - np.asarray(image.affine)[:2, 3]).max() == max(shape) - 1
    native = NativeGrid.of(picture, image).whole(image.numpy())[0]
    assert native.shape == shape
    assert np.corrcoef(native.ravel(), ramp.ravel())[0, 1] > 0.999


def test_detail_that_coarse_pixels_cannot_show_is_smoothed_away() -> None:
    stripes = np.tile(np.array([0.0, 100.0, 0.0]), 40)[:, None, None] * np.ones((1, 120, 1))
    section = EVERY_VOXEL.model_copy(update={"longest_side": 40, "clip_percentiles": (0, 100)})
    fine = Volume(stripes + 1e-3 * np.arange(120)[:, None, None], np.eye(4))
    chain = Preprocessing(section, DATA)
    ratios = [119 / 39, 119 / 39, 1.0]
    smooth = AntiAliasd("image", ratios)({"image": MetaTensor(fine.voxels[None])})["image"]
    assert smooth.shape == (1, 120, 120, 1)
    # A third of the pixels is bright, and that is what a coarse pixel holds.
    assert np.abs(smooth.numpy()[0, 10:-10] - 100 / 3).max() < 15
    assert AntiAliasd("image", [1.0, 0.5, 1.0]).sigmas == (0.0, 0.0, 0.0)
    assert chain.from_volumes([fine])[0].shape == (1, 40, 40, 1)


def test_label_is_resampled_to_the_nearest(scan: Any, write: Write, tmp_path: Path) -> None:
    image = write(tmp_path / "a.nii.gz", scan.voxels, scan.affine)
    mask = write(tmp_path / "l.nii.gz", scan.label, scan.affine)
    section = PreprocessingSection(spacing_mm=(0.6, 1.7))
    loaded, _ = Preprocessing(section, DATA).load([image], mask)
    assert loaded["label"].shape == loaded["image"].shape
    assert set(np.unique(loaded["label"])) == {0, 1, 2}
    index = np.stack(np.indices(loaded["label"].shape[1:]), 0).reshape(3, -1)
    to_source = np.linalg.inv(scan.affine) @ np.asarray(loaded["label"].affine, dtype=float)
    at = to_source[:3, :3] @ index + to_source[:3, 3:]
    classes = np.searchsorted([0, 2, 5], scan.label)
    expected = map_coordinates(classes, at, order=0, mode="nearest")
    # Places halfway between two voxels may go to either.
    clear = (np.abs(at - np.rint(at)) < 0.49).all(axis=0)
    np.testing.assert_array_equal(values(loaded["label"]).ravel()[clear], expected[clear])


@storages
def test_cropping_is_undone(scan: Any, storage: Storage) -> None:
    stored = scan.stored(*storage)
    chain = Preprocessing(PreprocessingSection(crop_foreground=True), DATA)
    image, _ = chain.from_volumes([stored.volume])
    assert image.shape == (1, 7, 10, 4)
    np.testing.assert_allclose(
        world_mm(image.affine, (0, 0, 0)), world_mm(scan.affine, (2, 1, 1)), atol=1e-4
    )
    inside = scan.voxels[2:9, 1:11, 1:5].astype(np.float32)[None]
    native = NativeGrid.of(stored.volume, image).whole(inside)
    np.testing.assert_array_equal(native[0], stored.voxels)


# Single slices


def one_slice(scan: Any, axis: int) -> Volume:
    """The middle slice across an axis of the scan, 0.4 mm thick and so thinner than its pixels."""
    middle = scan.voxels.shape[axis] // 2
    affine = scan.affine.copy()
    affine[:, 3] += middle * affine[:, axis]
    affine[:3, axis] *= 0.4 / np.linalg.norm(affine[:3, axis])
    return Volume(np.take(scan.voxels, [middle], axis), affine, "slice")


@storages
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    "change", [{}, {"spacing_mm": (0.6, 1.7)}, {"crop_foreground": True}], ids=str
)
def test_a_single_slice_is_cut_along_its_own_plane(
    scan: Any, storage: Storage, axis: int, change: dict[str, Any]
) -> None:
    upright = one_slice(scan, axis)
    stored = type(scan)(upright.voxels, upright.voxels, upright.affine).stored(*storage)
    chain = Preprocessing(EVERY_VOXEL.model_copy(update=change), DATA)
    image, found = chain.from_volumes([stored.volume])
    assert found == axis
    slices = to_slices(image, axis)
    assert slices.shape[0] == 1
    if not change:
        expected = np.squeeze(upright.voxels, axis)
        assert slices.shape[2:] == expected.shape
        ranks = np.argsort(values(slices[0, 0]).ravel(), kind="stable")
        np.testing.assert_array_equal(ranks, np.argsort(expected.ravel(), kind="stable"))
    native = NativeGrid.of(stored.volume, image).whole(image.numpy())
    assert native.shape == (1, *stored.voxels.shape)
    if "spacing_mm" not in change:
        # Normalisation is a straight line.
        inside = stored.voxels > 0
        line = np.polyfit(stored.voxels[inside], values(native[0])[inside], 1)
        np.testing.assert_allclose(
            np.polyval(line, stored.voxels[inside]), values(native[0])[inside], atol=1e-5
        )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plane_that_would_cut_a_single_slice_into_lines(scan: Any, axis: int) -> None:
    planes: list[Any] = ["sagittal", "coronal", "axial"]
    for plane in planes:
        chain = Preprocessing(PreprocessingSection(plane=plane), DATA)
        if plane == planes[axis]:
            assert chain.from_volumes([one_slice(scan, axis)])[1] == axis
            continue
        with pytest.raises(GeometryError, match=f"preprocessing.plane is {plane}") as caught:
            chain.from_volumes([one_slice(scan, axis)])
        assert f"one {planes[axis]} slice" in caught.value.found
        assert caught.value.where == "slice"
        assert "thickest" in caught.value.remedy


def test_a_picture_and_its_mask_are_one_upright_slice(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:7, :9]
    grey = (20 * rows + columns).astype(np.uint8)
    mask = np.where((rows < 3) & (columns > 4), 255, 0).astype(np.uint8)
    for name, picture in (("a.png", grey), ("l.png", mask)):
        Image.fromarray(picture).save(tmp_path / name)
    data = DataSection(labels={"corner": 255})
    loaded, axis = Preprocessing(EVERY_VOXEL, data).load([tmp_path / "a.png"], tmp_path / "l.png")
    assert axis == 2
    # RAS: the first axis runs from the last column to the first, the second one bottom up.
    image = to_slices(loaded["image"], axis)[0, 0].numpy()
    expected = (grey - grey.mean()) / grey.std()
    np.testing.assert_allclose(image, expected.T[::-1, ::-1], atol=1e-5)
    label = to_slices(loaded["label"], axis)[0, 0].numpy()
    np.testing.assert_array_equal(label, (mask // 255).T[::-1, ::-1])


# Intensities


def normalised(
    voxels: NDArray[Any], section: PreprocessingSection = EVERY_VOXEL
) -> NDArray[np.float64]:
    image, _ = Preprocessing(section, DATA).from_volumes([Volume(voxels, np.eye(4))])
    return values(image[0])


def test_one_mean_and_deviation_a_volume() -> None:
    voxels = np.zeros((4, 4, 3), dtype=np.float32)
    voxels[:, :, 1], voxels[:, :, 2] = 10, 50
    voxels[0, 0, 1] = 11
    expected = (voxels - voxels.mean()) / voxels.std()
    np.testing.assert_allclose(normalised(voxels), expected, atol=1e-5)


def test_contrasts_are_normalised_on_their_own(scan: Any) -> None:
    other = Volume((3 * scan.voxels + 7).astype(np.int32), scan.affine)
    data = DataSection(contrasts=("T1", "T2"))
    image, _ = Preprocessing(EVERY_VOXEL, data).from_volumes([scan.volume, other])
    assert image.shape == (2, 10, 13, 6)
    np.testing.assert_allclose(values(image[0]), values(image[1]), atol=1e-4)


def test_nonzero_foreground_decides_mean_and_deviation(scan: Any) -> None:
    section = PreprocessingSection(foreground="nonzero", clip_percentiles=(0, 100))
    inside = scan.voxels[scan.voxels > 0].astype(float)
    expected = (np.maximum(scan.voxels, inside.min()) - inside.mean()) / inside.std()
    np.testing.assert_allclose(normalised(scan.voxels, section), expected, atol=1e-4)


def test_otsu_foreground_is_the_bright_part() -> None:
    voxels = np.random.default_rng(0).normal(20, 3, (9, 8, 7)).astype(np.float32)
    voxels[2:6, 3:7, 1:5] += 200
    bright = np.zeros(voxels.shape, dtype=bool)
    bright[2:6, 3:7, 1:5] = True
    section = PreprocessingSection(foreground="otsu")
    np.testing.assert_array_equal(foreground_mask(voxels, section), bright)


@pytest.mark.parametrize("foreground", ["all", "nonzero", "otsu"])
@pytest.mark.parametrize("value", [0, 7])
def test_a_volume_without_variance_becomes_zero(foreground: Any, value: int) -> None:
    section = PreprocessingSection(foreground=foreground, crop_foreground=True)
    voxels = np.full((4, 5, 3), value, dtype=np.int16)
    np.testing.assert_array_equal(normalised(voxels, section), np.zeros((4, 5, 3)))


def test_extremes_are_clipped_to_percentiles() -> None:
    voxels = np.arange(1000, dtype=np.float32).reshape(10, 10, 10)
    voxels[9, 9, 9] = 1e6
    section = PreprocessingSection(foreground="all", clip_percentiles=(1, 99))
    low, high = np.percentile(voxels, (1, 99))
    clipped = np.clip(voxels, low, high)
    expected = (clipped - clipped.mean()) / clipped.std()
    np.testing.assert_allclose(normalised(voxels, section), expected, atol=1e-4)


@pytest.mark.fault(39, "Q")
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers(scan: Any, write: Write, tmp_path: Path, broken: float) -> None:
    voxels = scan.voxels.astype(np.float32)
    voxels[1, 2, 3] = broken
    path = write(tmp_path / "a.nii.gz", voxels, scan.affine)
    chain = Preprocessing(EVERY_VOXEL, DATA)
    with pytest.raises(ScanError, match="1 NaN or infinite voxels") as caught:
        chain.load([path])
    assert caught.value.where == str(path)
    with pytest.raises(ScanError, match="1 NaN or infinite voxels"):
        chain.from_volumes([read_nifti(path)])


@pytest.mark.parametrize("kind", ["u1", "i1", "<i2", ">i2", "u2", "i4", "u4", "f4", ">f4", "f8"])
def test_every_type_of_voxels(scan: Any, write: Write, tmp_path: Path, kind: str) -> None:
    voxels = (scan.voxels % 100).astype(kind)
    path = write(tmp_path / "a.nii", voxels, scan.affine)
    mask = write(tmp_path / "l.nii", scan.label.astype(kind), scan.affine)
    loaded, _ = Preprocessing(EVERY_VOXEL, DATA).load([path], mask)
    numbers = voxels.astype(float)
    expected = (numbers - numbers.mean()) / numbers.std()
    np.testing.assert_allclose(values(loaded["image"][0]), expected, atol=1e-5)
    np.testing.assert_array_equal(
        values(loaded["label"][0]), np.searchsorted([0, 2, 5], scan.label)
    )


def test_files_and_volumes_are_preprocessed_alike(scan: Any, write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii.gz", scan.voxels, scan.affine)
    chain = Preprocessing(PreprocessingSection(spacing_mm=(0.7, 1.1)), DATA)
    loaded, axis = chain.load([path])
    image, same = chain.from_volumes([read_scan(path)])
    assert axis == same
    assert torch.equal(loaded["image"].as_tensor(), image.as_tensor())


def test_dicom_and_nifti_give_the_same_slices(
    scan: Any, write: Write, write_series: Callable[[Path, str], Path], tmp_path: Path
) -> None:
    nifti = write(tmp_path / "a.nii.gz", scan.voxels, scan.affine)
    mask = write(tmp_path / "l.nii.gz", scan.label, scan.affine)
    series = write_series(tmp_path / "dicom", "a")
    chain = Preprocessing(PreprocessingSection(), DATA)
    (one, axis), (other, same) = (chain.load([path], mask) for path in (nifti, series))
    assert axis == same
    assert torch.equal(one["image"].as_tensor(), other["image"].as_tensor())
    assert torch.equal(one["label"].as_tensor(), other["label"].as_tensor())
    np.testing.assert_allclose(one["image"].affine, other["image"].affine, atol=1e-4)


def test_contrasts_are_stacked_in_their_order(scan: Any, write: Write, tmp_path: Path) -> None:
    first = write(tmp_path / "1.nii.gz", scan.voxels, scan.affine)
    second = write(tmp_path / "2.nii.gz", scan.voxels[::-1].copy(), scan.affine)
    both = Preprocessing(EVERY_VOXEL, TWO_CONTRASTS).load([first, second])[0]["image"]
    for channel, path in zip(both, (first, second), strict=True):
        alone = Preprocessing(EVERY_VOXEL, DATA).load([path])[0]["image"]
        assert torch.equal(channel.as_tensor(), alone[0].as_tensor())


def test_contrasts_on_different_grids_are_refused(scan: Any, write: Write, tmp_path: Path) -> None:
    first = write(tmp_path / "1.nii.gz", scan.voxels, scan.affine)
    shifted = scan.affine.copy()
    shifted[0, 3] += 0.5
    second = write(tmp_path / "2.nii.gz", scan.voxels, shifted)
    smaller = write(tmp_path / "3.nii.gz", scan.voxels[1:], scan.affine)
    for other in (second, smaller):
        with pytest.raises(GeometryError, match="the grid of 1") as caught:
            Preprocessing(EVERY_VOXEL, TWO_CONTRASTS).load([first, other])
        assert "reading.different_grids to resample" in caught.value.remedy


def test_contrasts_on_different_grids_are_resampled(
    scan: Any, write: Write, tmp_path: Path
) -> None:
    first = write(tmp_path / "1.nii.gz", scan.voxels, scan.affine)
    # A quarter of a voxel further along the second axis.
    shifted = scan.affine.copy()
    shifted[:3, 3] += 0.25 * shifted[:3, 1]
    second = write(tmp_path / "2.nii.gz", scan.voxels.astype(np.float32), shifted)
    chain = Preprocessing(EVERY_VOXEL, TWO_CONTRASTS, ReadingSection(different_grids="resample"))
    image = chain.load([first, second])[0]["image"]
    means = scan.voxels.astype(float)
    # The first row lies beyond the first centre, but within its voxel: it stays.
    means[:, 1:] = 0.75 * scan.voxels[:, 1:] + 0.25 * scan.voxels[:, :-1]
    np.testing.assert_allclose(image[1].numpy(), (means - means.mean()) / means.std(), atol=1e-3)
    assert image.meta["warnings"] == (
        "T2 was resampled from 0.9 x 1.3 x 3.5 mm onto 0.9 x 1.3 x 3.5 mm",
    )
    volumes = [read_scan(path) for path in (first, second)]
    assert torch.equal(chain.from_volumes(volumes)[0].as_tensor(), image.as_tensor())


def test_axes_in_another_order_are_no_other_grid(scan: Any, write: Write, tmp_path: Path) -> None:
    first = write(tmp_path / "1.nii.gz", scan.voxels, scan.affine)
    turned = scan.stored((2, 0, 1), (0, 2))
    second = write(tmp_path / "2.nii.gz", turned.voxels, turned.affine)
    image = Preprocessing(EVERY_VOXEL, TWO_CONTRASTS).load([first, second])[0]["image"]
    assert torch.equal(image[0], image[1])
    assert image.meta["warnings"] == ()


@pytest.mark.parametrize("foreground", ["all", "nonzero", "otsu"])
def test_a_missing_contrast_is_zeros_after_normalisation(
    scan: Any, write: Write, tmp_path: Path, foreground: Any
) -> None:
    first = write(tmp_path / "1.nii.gz", scan.voxels, scan.affine)
    section = PreprocessingSection(
        foreground=foreground, crop_foreground=True, spacing_mm=(1.0, 1.0)
    )
    image = Preprocessing(section, TWO_CONTRASTS).load([first, None])[0]["image"]
    alone = Preprocessing(section, DATA).load([first])[0]["image"]
    assert image.shape == (2, *alone.shape[1:])
    assert torch.equal(image[0].as_tensor(), alone[0].as_tensor())
    assert not image[1].any()
    assert image.meta["warnings"] == ("T2 is missing and replaced by zeros",)


# Labels


def load_label(
    folder: Path, scan: Any, write: Write, label: NDArray[Any], affine: NDArray[np.float64]
) -> torch.Tensor:
    image = write(folder / "a.nii.gz", scan.voxels, scan.affine)
    mask = write(folder / "l.nii.gz", label, affine)
    classes: torch.Tensor = Preprocessing(EVERY_VOXEL, DATA).load([image], mask)[0]["label"]
    return classes


@pytest.mark.fault(49, "OK")
def test_label_values_become_classes(scan: Any, write: Write, tmp_path: Path) -> None:
    classes = load_label(tmp_path, scan, write, scan.label, scan.affine)
    np.testing.assert_array_equal(values(classes[0]), np.searchsorted([0, 2, 5], scan.label))


def test_classes_follow_the_order_of_the_config() -> None:
    chain = Preprocessing(EVERY_VOXEL, DataSection(labels={"first": 5, "second": 2}))
    np.testing.assert_array_equal(chain.classes_of(np.array([0, 2, 5]), "l"), [0, 2, 1])


@pytest.mark.fault(49, "E")
def test_label_values_that_the_config_does_not_name(
    scan: Any, write: Write, tmp_path: Path
) -> None:
    label = scan.label.copy()
    label[0, 0, 0], label[0, 0, 1] = 7, 1
    with pytest.raises(UnnamedLabelError) as caught:
        load_label(tmp_path, scan, write, label, scan.affine)
    assert caught.value.where == str(tmp_path / "l.nii.gz")
    assert "2, 5" in caught.value.expected
    assert caught.value.found == "1, 7 as well"
    assert "data.labels" in caught.value.remedy


@pytest.mark.fault(48, "Q")
@pytest.mark.parametrize("value", [0.5, 1.99, np.nan, np.inf])
def test_labels_that_are_no_whole_numbers(
    scan: Any, write: Write, tmp_path: Path, value: float
) -> None:
    label = scan.label.astype(np.float32)
    label[4, 4, 4] = value
    with pytest.raises(LabelError, match="whole numbers") as caught:
        load_label(tmp_path, scan, write, label, scan.affine)
    assert not isinstance(caught.value, UnnamedLabelError)


def test_labels_within_a_rounding_of_whole_numbers(scan: Any, write: Write, tmp_path: Path) -> None:
    label = scan.label + np.where(scan.label == 2, 4e-4, -4e-4).astype(np.float32)
    classes = load_label(tmp_path, scan, write, label.astype(np.float32), scan.affine)
    np.testing.assert_array_equal(values(classes[0]), np.searchsorted([0, 2, 5], scan.label))


def test_negative_labels_are_not_background() -> None:
    with pytest.raises(UnnamedLabelError, match="-1 as well"):
        Preprocessing(EVERY_VOXEL, DATA).classes_of(np.array([0, -1]), "l")


@pytest.mark.fault(52, "Q")
def test_label_on_another_grid(scan: Any, write: Write, tmp_path: Path) -> None:
    shifted = scan.affine.copy()
    shifted[1, 3] += 0.1
    with pytest.raises(GeometryError, match=r"corners 0\.111 voxels apart") as caught:
        load_label(tmp_path, scan, write, scan.label, shifted)
    assert "l.nii.gz" in caught.value.where
    with pytest.raises(GeometryError, match=r"shape \(9, 13, 6\)"):
        load_label(tmp_path, scan, write, scan.label[1:], scan.affine)


def test_label_within_a_hundredth_of_a_voxel(scan: Any, write: Write, tmp_path: Path) -> None:
    shifted = scan.affine.copy()
    shifted[1, 3] += 0.005
    classes = load_label(tmp_path, scan, write, scan.label, shifted)
    assert np.count_nonzero(classes) == np.count_nonzero(scan.label)


@pytest.mark.fault(53, "OK")
@storages
def test_label_stored_in_another_order_is_aligned(
    scan: Any, write: Write, tmp_path: Path, storage: Storage
) -> None:
    stored = scan.stored(*storage)
    classes = load_label(tmp_path, scan, write, stored.label, stored.affine)
    np.testing.assert_array_equal(values(classes[0]), np.searchsorted([0, 2, 5], scan.label))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="no such file") as caught:
        Preprocessing(EVERY_VOXEL, DATA).load([tmp_path / "absent.nii.gz"])
    assert caught.value.where == str(tmp_path / "absent.nii.gz")
