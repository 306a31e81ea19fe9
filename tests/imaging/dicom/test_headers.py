"""Tags that are absent, damaged or absurd; names that are free of what headers say."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import config
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from slicewise.errors import GeometryError, ScanError
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.pseudonyms import Pseudonyms
from slicewise.imaging.sandbox import Sandbox

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def may_write_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.settings, "writing_validation_mode", config.IGNORE)
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)


AXES = "ImageOrientationPatient"


@pytest.mark.fault(15, "Q")
@pytest.mark.fault(16, "Q")
@pytest.mark.fault(18, "Q")
@pytest.mark.fault(19, "Q")
@pytest.mark.fault(20, "Q")
@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("ImagePositionPatient", None),
        (AXES, None),
        (AXES, ["1", "0", "0", "1", "0", "0"]),
        (AXES, ["1", "0", "0", "0.1", "1", "0"]),
        (AXES, ["1.1", "0", "0", "0", "1", "0"]),
        (AXES, ["0", "0", "0", "0", "0", "0"]),
        (AXES, ["1", "0", "0"]),
        ("PixelSpacing", None),
        ("PixelSpacing", ["0.75"]),
        ("PixelSpacing", ["0", "0.75"]),
        ("PixelSpacing", ["0.75", "-1"]),
        ("PixelSpacing", ["NaN", "0.75"]),
        ("PixelSpacing", ["0.75", "Inf"]),
        ("ImagePositionPatient", ["1", "2", "-Inf"]),
        ("ImagePositionPatient", ["1", "2", "1e999"]),
        (AXES, ["1", "0", "0", "0", "NaN", "0"]),
        ("RescaleSlope", "NaN"),
        ("RescaleIntercept", "Inf"),
        ("SliceThickness", "NaN"),
        ("SpacingBetweenSlices", "Inf"),
        ("TriggerTime", "NaN"),
        ("RescaleSlope", "0"),
    ],
)
def test_bad_tags_are_named(
    tag: str, value: list[str] | str | None, phantom: Any, write_dicom: Write, refused: Call
) -> None:
    error = refused(write_dicom(phantom.datasets(**{tag: value})))
    assert isinstance(error, ScanError)
    assert error.where.endswith(f".dcm: {tag}")
    assert error.remedy


@pytest.mark.fault(20, "Q")
@pytest.mark.parametrize("text", ["one", "1,5", "0x10", "--1"])
def test_numbers_that_are_none(text: str, phantom: Any, write_dicom: Write, refused: Call) -> None:
    folder = write_dicom(phantom.datasets())
    for file in folder.iterdir():
        # In place of the thickness: pydicom itself would refuse to write it.
        written = file.read_bytes().replace(b"DS\x02\x003 ", b"DS\x04\x00" + text.encode().ljust(4))
        file.write_bytes(written)
    error = refused(folder)
    assert error.where.endswith(": SliceThickness")
    assert "not finite" in error.found


@pytest.mark.fault(20, "Q")
def test_echo_time_that_is_no_number(phantom: Any, write_dicom: Write, refused: Call) -> None:
    assert refused(write_dicom(phantom.datasets(EchoTime="NaN"))).where.endswith(": EchoTime")


def test_huge_instance_number(phantom: Any, write_dicom: Write, find: Call) -> None:
    datasets = phantom.datasets(SpacingBetweenSlices="3.5")
    datasets[2].InstanceNumber = 10**25
    find(write_dicom(datasets))


def test_tiny_stated_distance(phantom: Any, write_dicom: Write, only: Call) -> None:
    series = only(write_dicom(phantom.datasets(SpacingBetweenSlices="1e-320")))
    np.testing.assert_allclose(series.affine, phantom.affine, atol=1e-6)


def test_positions_beyond_the_universe(phantom: Any, write_dicom: Write, refused: Call) -> None:
    datasets = phantom.datasets()[:2]
    datasets[0].ImagePositionPatient = ["1e308", "1e308", "1e308"]
    datasets[1].ImagePositionPatient = ["-1e308", "-1e308", "-1e308"]
    assert isinstance(refused(write_dicom(datasets)), GeometryError)


@pytest.mark.fault(19, "Q")
@pytest.mark.parametrize("spacing_mm", ["1e300", "1e-300"])
def test_absurd_spacing(spacing_mm: str, phantom: Any, write_dicom: Write, refused: Call) -> None:
    datasets = phantom.datasets(PixelSpacing=[spacing_mm, spacing_mm])[:1]
    assert refused(write_dicom(datasets)).where.endswith(": PixelSpacing")


@pytest.mark.fault(18, "Q")
def test_a_slice_without_numbers_takes_its_series_along(
    phantom: Any, write_dicom: Write, find: Call
) -> None:
    datasets = phantom.datasets()
    datasets[4].PixelSpacing = ["NaN", "0.75"]
    scan = find(write_dicom(datasets))
    assert not scan.series
    assert scan.set_aside[0].where.endswith(": PixelSpacing")
    assert "1 unusable and 4 usable files" in scan.set_aside[1].found


def test_one_reason_for_many_files(phantom: Any, write_dicom: Write, refused: Call) -> None:
    error = refused(write_dicom(phantom.datasets(PixelSpacing=None)))
    assert error.found == "no such tag, here and in 4 other files of the series"


@pytest.mark.fault(17, "OK")
def test_long_decimal_strings(phantom: Any, write_dicom: Write, read: Call) -> None:
    datasets = phantom.datasets()
    for number, dataset in enumerate(datasets):
        position_mm = phantom.origin_mm + number * 3.5 * phantom.axes[:, 2]
        dataset.ImagePositionPatient = [f"{value:.20f}" for value in position_mm]
        cosines = [*phantom.axes[:, 0], *phantom.axes[:, 1]]
        dataset.ImageOrientationPatient = [f"{value:.20f}" for value in cosines]
    folder = write_dicom(datasets)
    longest = max(re.findall(rb"-?[0-9]+\.[0-9]+", next(folder.iterdir()).read_bytes()), key=len)
    assert len(longest) > 16
    volume = read(folder)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-12)
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)


@pytest.mark.fault(16, "OK")
def test_cosines_of_five_digits_are_made_orthonormal(
    phantom: Any, write_dicom: Write, only: Call
) -> None:
    datasets = phantom.datasets()
    for dataset in datasets:
        cosines = [float(value) for value in dataset.ImageOrientationPatient]
        dataset.ImageOrientationPatient = [f"{value:.5f}" for value in cosines]
    axes = only(write_dicom(datasets)).affine[:3, :3] / (0.75, 1.25, 3.5)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(axes[:, :2].T @ axes[:, :2], np.eye(2), atol=1e-12)


@pytest.mark.fault(84, "Q")
@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({"Rows": 0}, "0 x 11"),
        ({"Rows": 65535, "Columns": 65535}, "65535 x 65535"),
        ({"NumberOfFrames": 2**31 - 1}, "2147483647 frames"),
        ({"NumberOfFrames": -5}, "-5 frames"),
        ({"NumberOfFrames": 8}, "0 descriptions"),
        ({"BitsAllocated": 64}, "64 bits, PixelRepresentation 1"),
        ({"PixelRepresentation": 7}, "16 bits, PixelRepresentation 7"),
    ],
)
def test_absurd_sizes_are_refused_before_pixels_are_read(
    tags: dict[str, Any], found: str, phantom: Any, write_dicom: Write, refused: Call
) -> None:
    assert refused(write_dicom(phantom.datasets(**tags)[:1])).found == found


@pytest.mark.fault(36, "Q")
@pytest.mark.parametrize(
    ("photometric", "samples"),
    [("RGB", 3), ("YBR_FULL_422", 3), ("PALETTE COLOR", 1), ("ARGB", 4)],
)
def test_colours_are_refused(
    photometric: str, samples: int, phantom: Any, write_dicom: Write, refused: Call
) -> None:
    tags = {"PhotometricInterpretation": photometric, "SamplesPerPixel": samples}
    error = refused(write_dicom(phantom.datasets(**tags)))
    assert error.where.endswith(": PhotometricInterpretation")
    assert error.found == "a colour image, here and in 4 other files of the series"


def test_look_up_table_is_refused(phantom: Any, write_dicom: Write, refused: Call) -> None:
    folder = write_dicom(phantom.datasets(ModalityLUTSequence=[FileDataset("", {})]))
    assert refused(folder).where.endswith(": ModalityLUTSequence")


HOSTILE = ("../../../etc/passwd", "..", "a/b\\c", "nul\0byte", "C:\\x", "~root", "-rf *", "\n; ls")


@pytest.mark.fault(86, "OK")
@pytest.mark.parametrize("text", HOSTILE)
def test_header_texts_are_no_part_of_names_or_paths(
    text: str, phantom: Any, write_dicom: Write, sandbox: Sandbox, tmp_path: Path
) -> None:
    keywords = (
        "SeriesDescription", "ProtocolName", "StudyDescription", "PatientID", "PatientName",
        "SeriesInstanceUID", "StackID", "Modality", "Manufacturer",
    )  # fmt: skip
    folder = write_dicom(phantom.datasets(**dict.fromkeys(keywords, text)))
    before = sorted(tmp_path.rglob("*"))
    scanner = DicomScanner(
        index=tmp_path / "index.sqlite", pseudonyms=Pseudonyms(b"k" * 32), sandbox=sandbox
    )
    (series,) = scanner.find(folder).series
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", series.name)
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", series.patient)
    assert ".." not in series.name
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "index.sqlite"])
    assert {path.parent for path in series.files} == {folder}


@pytest.mark.fault(86, "OK")
def test_absurd_numbers_make_no_absurd_names(phantom: Any, write_dicom: Write, only: Call) -> None:
    for number in (-7, 10**30):
        folder = write_dicom(phantom.datasets(SeriesNumber=number))
        name = only(folder).name
        assert re.fullmatch(r"s[0-9]{3,9}_axial_11x7x5", name)
        for file in folder.iterdir():
            file.unlink()


def test_names_and_errors_are_free_of_the_patient(
    phantom: Any, write_dicom: Write, find: Call
) -> None:
    bad = phantom.datasets(PixelSpacing=["0", "1"], SeriesInstanceUID=generate_uid())
    scan = find(write_dicom([*phantom.datasets(), *bad]))
    assert scan.series[0].name == "s012_axial_11x7x5"
    assert isinstance(scan.set_aside[0], GeometryError)
    assert "oken" not in repr(scan.series[0].warnings) + str(scan.set_aside[0])


@pytest.mark.parametrize(
    ("description", "word"),
    [
        ("Ax T2 FLAIR Mueller", "flair"),
        ("Meier_T1w_post", "t1"),
        ("T2*", "t2star"),
        ("Petra Loc", "localizer"),
        ("Diffusion Trace", "dwi"),
        ("Anna", ""),
        ("", ""),
    ],
)
def test_only_known_words_of_a_description_are_repeated(
    description: str, word: str, phantom: Any, write_dicom: Write, only: Call
) -> None:
    name = only(write_dicom(phantom.datasets(SeriesDescription=description))).name
    assert name == "_".join(part for part in ("s012", word, "axial_11x7x5") if part)


@pytest.mark.fault(93, "W")
@pytest.mark.parametrize("start", [b"MZ\x90\0", b"\x7fELF", b"#!/bin/sh\n", b"<html>"])
def test_executable_preamble_is_read_and_warned_about(
    start: bytes, phantom: Any, write_dicom: Write, read: Call
) -> None:
    datasets = phantom.datasets()
    datasets[3].preamble = start.ljust(128, b"\0")
    volume = read(write_dicom(datasets))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    text = "the preamble is neither zeros nor TIFF: it may be a program; never execute it"
    assert volume.warnings == (text,)


@pytest.mark.parametrize("start", [b"II*\0", b"MM\0*", b""])
def test_preamble_of_a_tiff_file_is_allowed(
    start: bytes, phantom: Any, write_dicom: Write, read: Call
) -> None:
    datasets = phantom.datasets()
    datasets[3].preamble = start.ljust(128, b"\0")
    assert read(write_dicom(datasets)).warnings == ()
