"""What holds for every rotation, spacing, order and file name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmwrite
from pydicom.dataset import FileDataset
from scipy.spatial.transform import Rotation

from slicewise.imaging.dicom.grid import LPS_TO_RAS
from slicewise.imaging.dicom.reading import read_series
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.sandbox import Sandbox
from slicewise.imaging.volume import Volume

# The phantom and the builders are the same for every example, and nothing is written to them.
PROPERTY = settings(
    deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ANGLES = st.tuples(*[st.floats(-180, 180)] * 3)
SPACINGS_MM = st.tuples(*[st.floats(0.2, 9)] * 3)
ORIGIN_MM = st.tuples(*[st.floats(-900, 900)] * 3)
# No zero byte, no slash; not hidden, and not of a kind that is surely no DICOM.
NAMES = st.binary(min_size=1, max_size=40).map(lambda name: name.translate(None, b"\0/."))


def volumes_below(folder: Path, sandbox: Sandbox) -> list[Volume]:
    scan = DicomScanner(sandbox=sandbox).find(folder)
    assert not scan.set_aside, scan.set_aside
    return [read_series(one, sandbox) for one in scan.series]


@pytest.mark.fault(26, "OK")
@pytest.mark.parametrize("kind", ["classic", "enhanced", "mosaic"])
@given(angles=ANGLES, spacing_mm=SPACINGS_MM, origin_mm=ORIGIN_MM, data=st.data())
@PROPERTY
def test_every_voxel_keeps_its_place_in_the_world(
    kind: str,
    angles: tuple[float, float, float],
    spacing_mm: tuple[float, float, float],
    origin_mm: tuple[float, float, float],
    data: st.DataObject,
    phantom: Any,
    enhanced: Callable[..., FileDataset],
    mosaic: Callable[..., FileDataset],
    sandbox: Sandbox,
) -> None:
    axes = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    turned = replace(
        phantom,
        axes=axes,
        origin_mm=np.array(origin_mm),
        column_spacing_mm=round(spacing_mm[0], 6),
        row_spacing_mm=round(spacing_mm[1], 6),
        slice_spacing_mm=round(spacing_mm[2], 6),
    )
    order = data.draw(st.permutations(range(5)))
    if kind == "classic":
        slices = turned.datasets()
        datasets = [slices[number] for number in order]
    elif kind == "enhanced":
        datasets = [enhanced(order, phantom=turned)]
    else:
        datasets = [mosaic(downwards=order[0] > 2, phantom=turned)]
    with tempfile.TemporaryDirectory() as folder:
        for number, dataset in enumerate(datasets):
            dcmwrite(Path(folder) / f"{number}.dcm", dataset, enforce_file_format=True)
        (volume,) = volumes_below(Path(folder), sandbox)
    # Every voxel has a value of its own, so that equal voxels are the same voxels.
    np.testing.assert_array_equal(volume.voxels, turned.voxels)
    corners = np.array(list(product((0, 10), (0, 6), (0, 4))))
    expected_mm = corners @ turned.affine[:3, :3].T + turned.affine[:3, 3]
    np.testing.assert_allclose(volume.world_position_mm(corners), expected_mm, atol=1e-4)


def outcome(scan_folder: Path, sandbox: Sandbox) -> list[tuple[Any, ...]]:
    scan = DicomScanner(sandbox=sandbox).find(scan_folder)
    volumes = [read_series(one, sandbox) for one in scan.series]
    told = [(error.expected, error.found, error.remedy) for error in scan.set_aside]
    return [
        *((one.name, one.affine.tolist(), one.voxels.tolist(), one.warnings) for one in volumes),
        *sorted(told),
    ]


def echoes_and_a_copy(phantom: Any) -> list[FileDataset]:
    first, second = phantom.datasets(), phantom.datasets(EchoTime="80")
    return [*first, *second, phantom.datasets(InstanceNumber=70)[2]]


def phases(phantom: Any) -> list[FileDataset]:
    datasets = []
    for phase, number in product(range(3), range(5)):
        dataset = phantom.datasets(TriggerTime=str(phase * (30 + number)))[number]
        dataset.PixelData = np.full(77, phase * 100 + number, np.int16).tobytes()
        del dataset.InstanceNumber
        datasets.append(dataset)
    return datasets


def rounded_cosines(phantom: Any) -> list[FileDataset]:
    datasets = phantom.datasets(FrameOfReferenceUID="1.2.3")
    datasets[1].FrameOfReferenceUID = "1.2.4"
    for number, dataset in enumerate(datasets):
        cosines = [float(value) for value in dataset.ImageOrientationPatient]
        dataset.ImageOrientationPatient = [f"{value:.{4 + number % 3}f}" for value in cosines]
        dataset.RescaleSlope, dataset.RescaleIntercept = str(1 + number), "0"
    return datasets


def with_a_gap(phantom: Any) -> list[FileDataset]:
    return [*phantom.datasets()[:2], *phantom.datasets()[3:]]


@pytest.mark.fault(1, "OK")
@pytest.mark.fault(68, "OK")
@pytest.mark.parametrize("make", [echoes_and_a_copy, phases, rounded_cosines, with_a_gap])
@given(data=st.data())
@PROPERTY
def test_order_and_names_of_files_change_nothing(
    make: Callable[[Any], list[FileDataset]], data: st.DataObject, phantom: Any, sandbox: Sandbox
) -> None:
    datasets = make(phantom)
    names = data.draw(
        st.lists(NAMES.filter(len), min_size=len(datasets), max_size=len(datasets), unique=True)
    )
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as odd:
        for number, (dataset, name) in enumerate(zip(datasets, names, strict=True)):
            path = Path(plain) / f"{number:03d}.dcm"
            dcmwrite(path, dataset, enforce_file_format=True)
            with open(odd.encode() + b"/" + name, "xb") as file:  # noqa: PTH123, names are bytes
                file.write(path.read_bytes())
        assert outcome(Path(odd), sandbox) == outcome(Path(plain), sandbox)


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3))
def test_lps_and_ras_are_each_others_inverse(position_mm: list[float]) -> None:
    lps = np.array([*position_mm, 1])
    ras = LPS_TO_RAS @ lps
    np.testing.assert_array_equal(ras, [-lps[0], -lps[1], lps[2], 1])
    np.testing.assert_array_equal(LPS_TO_RAS @ ras, lps)


@given(
    angles=ANGLES, spacing_mm=SPACINGS_MM, axis_codes=st.sampled_from(["LPS", "RAS", "SPR", "AIL"])
)
@settings(deadline=None)
def test_turning_there_and_back_is_bit_identical(
    angles: tuple[float, ...], spacing_mm: tuple[float, ...], axis_codes: str
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing_mm
    volume = Volume(np.arange(24).reshape(2, 3, 4), affine)
    turned = volume.reoriented(axis_codes)
    assert turned.orientation == axis_codes
    back = turned.reoriented(volume.orientation)
    np.testing.assert_array_equal(back.voxels, volume.voxels)
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-9)
