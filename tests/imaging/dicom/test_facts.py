"""Acquisition facts: in BIDS' units, from classic and enhanced objects, and nobody's name."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dcm2niix
import pytest
from pydicom import Dataset, config
from pydicom.datadict import DicomDictionary
from pydicom.dataset import FileDataset

from slicewise.errors import ScanError
from slicewise.imaging.dicom import facts as facts_module
from slicewise.imaging.dicom.facts import acquisition_facts
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.sandbox import Sandbox

Write = Callable[[list[FileDataset]], Path]
Only = Callable[..., DicomSeries]
Find = Callable[..., Any]
FLAIR = {
    "Manufacturer": "SIEMENS",
    "ManufacturerModelName": "MAGNETOM Prisma_fit",
    "MagneticFieldStrength": "3",
    "ScanningSequence": ["SE", "IR"],
    "SequenceVariant": "SK",
    "MRAcquisitionType": "2D",
    "RepetitionTime": "9000.5",
    "EchoTime": "81",
    "InversionTime": "2500",
    "FlipAngle": "150",
    "EchoTrainLength": "16",
    "PixelBandwidth": "225",
    "SpacingBetweenSlices": "3.5",
    "SeriesNumber": "12",
    "AcquisitionMatrix": [0, 256, 192, 0],
    "InPlanePhaseEncodingDirection": "ROW",
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "DIS2D"],
    "PatientPosition": "HFS",
}
TEXT_KINDS = ("AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT")


@pytest.fixture
def facts(phantom: Any, write_dicom: Write, only: Only, sandbox: Sandbox) -> Callable[..., Any]:
    """The facts of the phantom, written with these tags."""

    def facts(**tags: Any) -> dict[str, Any]:
        return acquisition_facts(only(write_dicom(phantom.datasets(**tags))), sandbox)

    return facts


def group(**tags: Any) -> list[Dataset]:
    """A sequence of one item."""
    item = Dataset()
    for keyword, value in tags.items():
        setattr(item, keyword, value)
    return [item]


def test_units_and_names_are_those_of_bids(facts: Callable[..., Any]) -> None:
    assert facts(**FLAIR) == {
        "Modality": "MR",
        "Manufacturer": "Siemens",
        "ManufacturersModelName": "Prisma_fit",
        "MagneticFieldStrength": 3.0,
        "ScanningSequence": ["SE", "IR"],
        "SequenceVariant": "SK",
        "MRAcquisitionType": "2D",
        "RepetitionTime": 9.0005,
        "EchoTime": 0.081,
        "InversionTime": 2.5,
        "FlipAngle": 150.0,
        "EchoTrainLength": 16,
        "PixelBandwidth": 225.0,
        "SliceThickness": 3.0,
        "SpacingBetweenSlices": 3.5,
        "SeriesNumber": 12,
        "AcquisitionMatrix": [0, 256, 192, 0],
        "InPlanePhaseEncodingDirectionDICOM": "ROW",
        # Along a row the first index of the volume runs. DICOM does not tell the sign.
        "PhaseEncodingAxis": "i",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "DIS2D"],
        "PatientPosition": "HFS",
    }


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ({"EchoTime": "0"}, "EchoTime"),
        ({"RepetitionTime": ""}, "RepetitionTime"),
        ({"FlipAngle": "720"}, "FlipAngle"),
        # Gauss, as some old scanners write it.
        ({"MagneticFieldStrength": "15000"}, "MagneticFieldStrength"),
        ({"EchoTrainLength": ["1", "2"]}, "EchoTrainLength"),
        ({"AcquisitionMatrix": [0, 0, 0, 0]}, "AcquisitionMatrix"),
        ({"AcquisitionMatrix": [256, 192]}, "AcquisitionMatrix"),
        ({"SeriesNumber": "19310407"}, "SeriesNumber"),
        ({"Manufacturer": "Doe, John"}, "Manufacturer"),
        ({"Manufacturer": "GEORGE"}, "Manufacturer"),
        ({"ManufacturerModelName": "Prisma of John Doe"}, "ManufacturersModelName"),
        ({"SequenceVariant": "DOE"}, "SequenceVariant"),
        ({"ScanningSequence": ["SE", "DOE"]}, "ScanningSequence"),
        ({"InPlanePhaseEncodingDirection": "OTHER"}, "PhaseEncodingAxis"),
    ],
)
def test_what_is_not_believed_is_left_out(
    facts: Callable[..., Any], tags: dict[str, Any], name: str
) -> None:
    found = facts(**(FLAIR | tags))
    assert name not in found
    assert found["InversionTime"] == 2.5


@pytest.mark.parametrize(
    ("written", "maker"),
    [
        ("GE MEDICAL SYSTEMS", "GE"),
        ("Philips Medical Systems", "Philips"),
        ("Siemens Healthineers", "Siemens"),
        ("UNITED_IMAGING", "United Imaging"),
        (" TOSHIBA ", "Toshiba"),
    ],
)
def test_makers_are_written_in_one_way(facts: Callable[..., Any], written: str, maker: str) -> None:
    assert facts(Manufacturer=written)["Manufacturer"] == maker


@pytest.mark.parametrize("value", ["NaN", "inf", "1e400"])
def test_numbers_are_finite(
    phantom: Any, write_dicom: Write, only: Only, sandbox: Sandbox, value: str
) -> None:
    with config.disable_value_validation():
        series = only(write_dicom(phantom.datasets(RepetitionTime=value)))
    assert "RepetitionTime" not in acquisition_facts(series, sandbox)


@pytest.mark.parametrize("value", ["Doe^John", "ORIGINAL IMAGE OF", "doe", "A.B"])
def test_image_types_are_coded_strings(
    phantom: Any, write_dicom: Write, only: Only, sandbox: Sandbox, value: str
) -> None:
    with config.disable_value_validation():
        series = only(write_dicom(phantom.datasets(ImageType=["ORIGINAL", "PRIMARY", value])))
    assert "ImageType" not in acquisition_facts(series, sandbox)


def test_enhanced_objects_tell_by_frame_first(
    enhanced: Callable[..., FileDataset],
    write_dicom: Write,
    find: Find,
    sandbox: Sandbox,
) -> None:
    # Two echoes in one file: the first five frames, then the same five places again.
    whole = enhanced([*range(5), *range(5)], EchoTime="999", MagneticFieldStrength="1.5")
    for number, frame in enumerate(whole.PerFrameFunctionalGroupsSequence):
        frame.MREchoSequence = group(EffectiveEchoTime=10.0 if number < 5 else 80.0)
    (shared,) = whole.SharedFunctionalGroupsSequence
    shared.MRTimingAndRelatedParametersSequence = group(
        RepetitionTime=3000.0, FlipAngle=90.0, EchoTrainLength=4
    )
    shared.MRModifierSequence = group(InversionTimes=[900.0])
    shared.MRImagingModifierSequence = group(PixelBandwidth=250.0)
    shared.MRFOVGeometrySequence = group(InPlanePhaseEncodingDirection="COLUMN")
    shared.MRImageFrameTypeSequence = group(FrameType=["ORIGINAL", "PRIMARY", "T2", "NONE"])
    scan = find(write_dicom([whole]))
    assert not scan.set_aside
    first, second = (acquisition_facts(series, sandbox) for series in scan.series)
    assert (first["EchoTime"], second["EchoTime"]) == (0.01, 0.08)
    expected = {
        "MagneticFieldStrength": 1.5,
        "RepetitionTime": 3.0,
        "FlipAngle": 90.0,
        "EchoTrainLength": 4,
        "InversionTime": 0.9,
        "PixelBandwidth": 250.0,
        "SliceThickness": 3.0,
        "ImageType": ["ORIGINAL", "PRIMARY", "T2", "NONE"],
        "PhaseEncodingAxis": "j",
        "InPlanePhaseEncodingDirectionDICOM": "COL",
    }
    assert expected.items() <= first.items()


@pytest.mark.fault(95, "OK")
def test_no_text_of_a_header_gets_through(
    phantom: Any, write_dicom: Write, only: Only, sandbox: Sandbox
) -> None:
    datasets = phantom.datasets()
    # What decides whether there is a series at all stays as it is.
    kept = {
        "Modality",
        "PhotometricInterpretation",
        "SpecificCharacterSet",
        "TimezoneOffsetFromUTC",
    }
    planted = 0
    with config.disable_value_validation():
        for tag, (kind, _, _, retired, keyword) in DicomDictionary.items():
            if kind in TEXT_KINDS and not retired and keyword not in kept and tag > 0x00080000:
                planted += 1
                for dataset in datasets:
                    dataset.add_new(tag, kind, f"Token{planted}")
        for dataset in datasets:
            dataset.add_new(0x00091001, "LO", "Token private")
            dataset.RequestAttributesSequence = group(PatientName="Token^nested")
        series = only(write_dicom(datasets))
    assert planted > 1000
    found = json.dumps(acquisition_facts(series, sandbox))
    assert "oken" not in found
    assert json.loads(found)["SliceThickness"] == 3.0


@pytest.mark.fault(95, "OK")
def test_names_that_look_like_codes_are_no_defined_terms(facts: Callable[..., Any]) -> None:
    tags = dict.fromkeys(
        ("ScanningSequence", "SequenceVariant", "MRAcquisitionType", "PatientPosition"), "DOE JOHN"
    )
    assert "DOE" not in json.dumps(facts(**tags))


def test_a_file_that_is_gone(
    phantom: Any, write_dicom: Write, only: Only, sandbox: Sandbox
) -> None:
    series = only(write_dicom(phantom.datasets()))
    series.files[0].unlink()
    with pytest.raises(ScanError, match="can be parsed") as caught:
        acquisition_facts(series, sandbox)
    assert caught.value.where == str(series.files[0])


@pytest.mark.data
@pytest.mark.parametrize(
    "folder",
    [
        "dicom/Study1/12-T1post-05670",
        "dicom/Study3/11-T1post-18670",
        "dicom2nifti/philips_enhanced/anatomical/001",
        "dicom2nifti/siemens_multiframe/anatomical/001",
        "dicom2nifti/siemens/anatomical/001",
        "dicom2nifti/hyperfine/anatomical/001",
        "dicom2nifti/hitachi/anatomical/001",
    ],
)
def test_agrees_with_dcm2niix(
    folder: str, test_data: Path, only: Only, sandbox: Sandbox, tmp_path: Path
) -> None:
    source = test_data / folder
    command = [dcm2niix.bin, "-b", "o", "-o", tmp_path, source]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.json")
    theirs = json.loads(path.read_text())
    ours = acquisition_facts(only(source), sandbox)
    shared = [name for name in ours if name in theirs and isinstance(ours[name], float)]
    assert "EchoTime" in shared
    for name in shared:
        # They write six digits.
        assert ours[name] == pytest.approx(theirs[name], rel=1e-5), name
    if "PhaseEncodingAxis" in theirs:
        assert ours["PhaseEncodingAxis"] == theirs["PhaseEncodingAxis"].rstrip("-")
    assert ours["Manufacturer"] == theirs["Manufacturer"]


def test_listed_scanner_names_differ() -> None:
    names = facts_module._scanner_names()
    models = [model for of_one in names.values() for model in of_one]
    assert "Siemens" in names
    assert len(set(models)) == len(models)
