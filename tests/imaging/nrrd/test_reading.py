"""NRRD scans and segmentations of 3D Slicer, each voxel where it was drawn."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from slicewise.errors import GeometryError, LabelError, ScanError
from slicewise.imaging.nrrd.reading import read_nrrd, read_nrrd_segmentation
from slicewise.imaging.nrrd.writing import write_segmentation_nrrd
from slicewise.imaging.scan import read_label, read_scan
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume


def affine() -> NDArray[np.float64]:
    oblique = np.eye(4)
    oblique[:3, :3] = Rotation.from_euler("zyx", [20, -15, 10], degrees=True).as_matrix()
    oblique[:3, :3] *= [0.75, 1.25, 3.5]
    oblique[:3, 3] = [-41.5, 17.25, 8]
    return oblique


SCAN = Volume(np.arange(7 * 6 * 9, dtype=np.int16).reshape(7, 6, 9), affine(), "scan")


def saved(path: Path, voxels: NDArray[Any], grid: NDArray[np.float64], *lines: str) -> Path:
    """Write voxels (X, Y, Z), or (layers, X, Y, Z) as 3D Slicer stores them."""
    lps = np.diag([-1, -1, 1, 1]) @ grid
    directions = [f"({','.join(map(repr, map(float, lps[:3, axis])))})" for axis in range(3)]
    kinds = ["domain"] * 3
    if voxels.ndim == 4:
        directions, kinds = ["none", *directions], ["list", *kinds]
    header = [
        "NRRD0005",
        "# Complete NRRD file format specification at:",
        f"type: {voxels.dtype.name}",
        f"dimension: {voxels.ndim}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, voxels.shape))}",
        f"space directions: {' '.join(directions)}",
        f"kinds: {' '.join(kinds)}",
        "endian: little",
        "encoding: gzip",
        f"space origin: ({','.join(map(repr, map(float, lps[:3, 3])))})",
        *lines,
    ]
    content = gzip.compress(voxels.tobytes(order="F"))
    path.write_bytes("\n".join(header).encode() + b"\n\n" + content)
    return path


def segments(*facts: tuple[str, int, int]) -> list[str]:
    lines = []
    for number, (name, layer, value) in enumerate(facts):
        lines += [
            f"Segment{number}_ID:=Segment_{number}",
            f"Segment{number}_Name:={name}",
            f"Segment{number}_Layer:={layer}",
            f"Segment{number}_LabelValue:={value}",
        ]
    return lines


def test_a_scan_agrees_with_itk(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nrrd", SCAN.voxels, SCAN.affine)
    volume = read_scan(path)
    np.testing.assert_array_equal(volume.voxels, SCAN.voxels)
    np.testing.assert_allclose(volume.affine, SCAN.affine)
    image = SimpleITK.ReadImage(str(path))
    place = image.TransformIndexToPhysicalPoint((3, 4, 5))
    index = np.array([3, 4, 5])
    np.testing.assert_allclose(volume.world_position_mm(index), np.array(place) * [-1, -1, 1])
    assert image[3, 4, 5] == volume.voxels[3, 4, 5]


def test_a_scan_that_itk_wrote(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(SCAN.voxels.T.astype(np.float32))
    image.SetSpacing((0.5, 0.75, 2.0))
    SimpleITK.WriteImage(image, str(tmp_path / "a.nrrd"))
    volume = read_nrrd(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.voxels, SCAN.voxels)
    np.testing.assert_allclose(volume.spacing_mm, (0.5, 0.75, 2.0))
    assert volume.orientation == "LPS"


@pytest.mark.fault(130, "OK")
def test_a_cropped_segmentation_lies_where_it_was_drawn(tmp_path: Path) -> None:
    part = np.zeros((3, 2, 4), np.uint8)
    part[0, 0, 0], part[2, 1, 3] = 1, 2
    grid = SCAN.affine.copy()
    grid[:3, 3] = SCAN.world_position_mm(np.array([2, 3, 4]))
    path = saved(tmp_path / "a.seg.nrrd", part, grid, *segments(("GM", 0, 1), ("WM", 0, 2)))
    label = read_label(path, SCAN, names={"wm": 7, "gm": 5})
    assert np.argwhere(label.voxels).tolist() == [[2, 3, 4], [4, 4, 7]]
    assert label.voxels[2, 3, 4] == 5
    assert label.voxels[4, 4, 7] == 7
    np.testing.assert_array_equal(label.affine, SCAN.affine)


@pytest.mark.fault(130, "OK")
@pytest.mark.parametrize("axes", ["LPS", "PIR"])
def test_another_order_of_axes(tmp_path: Path, axes: str) -> None:
    labels = SCAN.with_voxels((SCAN.voxels % 3).astype(np.uint8))
    turned = labels.reoriented(axes)
    path = saved(tmp_path / "a.seg.nrrd", np.ascontiguousarray(turned.voxels), turned.affine,
                 *segments(("a", 0, 1), ("b", 0, 2)))  # fmt: skip
    np.testing.assert_array_equal(read_label(path, SCAN).voxels, labels.voxels)


@pytest.mark.fault(130, "OK")
def test_segments_in_layers(tmp_path: Path) -> None:
    layers = np.zeros((2, *SCAN.shape), np.uint8)
    layers[0, 1, 1, 1], layers[0, 2, 2, 2], layers[1, 3, 3, 3] = 1, 2, 1
    facts = segments(("a", 0, 1), ("b", 0, 2), ("c", 1, 1))
    path = saved(tmp_path / "a.seg.nrrd", layers, SCAN.affine, *facts)
    label = read_label(path, SCAN)
    assert [int(label.voxels[(n, n, n)]) for n in (1, 2, 3)] == [1, 2, 3]
    assert any("numbers of segments" in text for text in label.warnings)
    named = read_label(path, SCAN, names={"a": 4, "b": 9, "c": 6})
    assert [int(named.voxels[(n, n, n)]) for n in (1, 2, 3)] == [4, 9, 6]
    assert named.warnings == ()


@pytest.mark.fault(130, "Q")
def test_segments_that_overlap(tmp_path: Path) -> None:
    layers = np.zeros((2, *SCAN.shape), np.uint8)
    layers[:, 1, 1, 1] = 1
    path = saved(tmp_path / "a.seg.nrrd", layers, SCAN.affine, *segments(("a", 0, 1), ("b", 1, 1)))
    with pytest.raises(LabelError, match="1 voxels of b in another segment"):
        read_label(path, SCAN)


@pytest.mark.fault(130, "Q")
def test_some_names_only(tmp_path: Path) -> None:
    labels = (SCAN.voxels % 3).astype(np.uint8)
    path = saved(tmp_path / "a.seg.nrrd", labels, SCAN.affine, *segments(("a", 0, 1), ("b", 0, 2)))
    with pytest.raises(LabelError, match="other names for the segments b"):
        read_label(path, SCAN, names={"a": 1})


def test_voxels_without_a_segment(tmp_path: Path) -> None:
    labels = (SCAN.voxels % 3).astype(np.uint8)
    path = saved(tmp_path / "a.seg.nrrd", labels, SCAN.affine, *segments(("a", 0, 1)))
    with pytest.raises(LabelError, match="not described"):
        read_label(path, SCAN)


@pytest.mark.fault(130, "Q")
def test_a_grid_between_the_voxels(tmp_path: Path) -> None:
    labels = np.ones((2, 2, 2), np.uint8)
    grid = SCAN.affine.copy()
    grid[:3, 3] = SCAN.world_position_mm(np.array([2.4, 3, 4]))
    path = saved(tmp_path / "a.seg.nrrd", labels, grid, *segments(("a", 0, 1)))
    with pytest.raises(GeometryError, match="the grid of scan"):
        read_label(path, SCAN)


def test_voxels_outside_of_the_image(tmp_path: Path) -> None:
    labels = np.ones((2, 2, 2), np.uint8)
    grid = SCAN.affine.copy()
    grid[:3, 3] = SCAN.world_position_mm(np.array([6, 3, 4]))
    path = saved(tmp_path / "a.seg.nrrd", labels, grid, *segments(("a", 0, 1)))
    with pytest.raises(GeometryError, match="4 voxels outside"):
        read_label(path, SCAN)


def test_a_mask_of_ours_comes_back(tmp_path: Path) -> None:
    mask = SCAN.with_voxels(np.where(SCAN.voxels % 5, 0, 300))
    structures = (Structure("left lobe", 300, "#FF0000"), Structure("other", 2, "#00FF00"))
    write_segmentation_nrrd(mask, structures, tmp_path / "a.seg.nrrd")
    again = read_nrrd_segmentation(tmp_path / "a.seg.nrrd", {})
    np.testing.assert_array_equal(again.voxels, mask.voxels)
    np.testing.assert_allclose(again.affine, mask.affine)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"encoding: gzip", b"encoding: bzip2", "bzip2"),
        (b"encoding: gzip", b"data file: a.raw\nencoding: gzip", "another file"),
        (b"type: int16", b"type: block", "block"),
        (b"sizes: 7 6 9", b"sizes: 32767 32767 32767", "GiB"),
        (b"sizes: 7 6 9", b"sizes: 7 6 10", "truncated"),
        (b"sizes: 7 6 9", b"sizes: 7 -6 9", "sizes 7 -6 9"),
        (b"space: left-posterior-superior\n", b"", "no position"),
        (b"space: left-posterior-superior", b"space: scanner-xyz", "scanner-xyz"),
        (b"endian: little\n", b"", "byte order"),
        (b"space origin:", b"space origin: (nan,0,0)\n#", "nan"),
    ],
)
def test_what_is_refused(tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
    path = saved(tmp_path / "a.nrrd", SCAN.voxels, SCAN.affine)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(ScanError, match=words):
        read_nrrd(path)


def test_flipped_and_missing_bytes(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nrrd", SCAN.voxels, SCAN.affine)
    content = path.read_bytes()
    path.write_bytes(content[:-8] + bytes([content[-8] ^ 1]) + content[-7:])
    with pytest.raises(ScanError, match="a wrong checksum"):
        read_nrrd(path)
    path.write_bytes(content[:-20])
    with pytest.raises(ScanError, match="truncated"):
        read_nrrd(path)
