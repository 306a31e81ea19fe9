"""Acquisition parameters of a DICOM series under their BIDS names, without identifying data.

Free text is never passed on: only numbers within the range of a scanner, coded strings, and the
manufacturers and models that are listed in ``scanner_names.yaml``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from slicewise.imaging.dicom.frames import PER_FRAME, SHARED
from slicewise.imaging.dicom.opening import open_dicom
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.dicom.tags import unreadable
from slicewise.imaging.sandbox import Sandbox, shared_sandbox

if TYPE_CHECKING:
    # At run time pydicom is imported inside the functions: the calling process never needs it.
    from pydicom import Dataset

MAXIMUM_VALUES = 16
CODED_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")


@dataclass(frozen=True)
class _Number:
    """A numeric parameter: its DICOM keywords, valid range and conversion to BIDS.

    Attributes:
        keywords: the first one with a valid value counts; enhanced objects use others.
        highest: largest valid value, in the unit of DICOM.
        lowest: smallest valid value, in the unit of DICOM.
        factor: from the unit of DICOM to that of BIDS.
    """

    keywords: tuple[str, ...]
    highest: float
    lowest: float = 0.0
    factor: float = 1.0


_MS = 1e-3
NUMBERS: Mapping[str, _Number] = {
    "MagneticFieldStrength": _Number(("MagneticFieldStrength",), 30, 1e-4),
    "ImagingFrequency": _Number(("ImagingFrequency", "TransmitterFrequency"), 1500, 1e-3),
    "RepetitionTime": _Number(("RepetitionTime",), 1e6, 1e-3, _MS),
    "EchoTime": _Number(("EffectiveEchoTime", "EchoTime"), 1e5, 1e-3, _MS),
    "InversionTime": _Number(("InversionTimes", "InversionTime"), 1e5, 1e-3, _MS),
    "FlipAngle": _Number(("FlipAngle",), 360),
    "EchoTrainLength": _Number(("EchoTrainLength",), 4096),
    "EchoNumber": _Number(("EchoNumbers",), 4096),
    "NumberOfAverages": _Number(("NumberOfAverages",), 4096),
    "PixelBandwidth": _Number(("PixelBandwidth",), 1e7),
    "PercentSampling": _Number(("PercentSampling",), 400),
    "PercentPhaseFOV": _Number(("PercentPhaseFieldOfView",), 400),
    "ParallelReductionFactorInPlane": _Number(("ParallelReductionFactorInPlane",), 64, 1),
    "SliceThickness": _Number(("SliceThickness",), 1000, 1e-3),
    "SpacingBetweenSlices": _Number(("SpacingBetweenSlices",), 1000, 1e-3),
    "SeriesNumber": _Number(("SeriesNumber",), 999_999),
}
WHOLE_NUMBERS = ("EchoTrainLength", "EchoNumber", "SeriesNumber")
DEFINED_TERMS: Mapping[str, tuple[str, ...]] = {
    "Modality": ("MR", "CT", "PT", "NM", "US", "CR", "DX", "MG", "XA", "RF", "OT"),
    "ScanningSequence": ("SE", "IR", "GR", "EP", "RM"),
    "SequenceVariant": ("SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "TOF", "NONE"),
    "MRAcquisitionType": ("1D", "2D", "3D"),
    "PatientPosition": ("HFP", "HFS", "HFDR", "HFDL", "FFDR", "FFDL", "FFP", "FFS"),
    "InPlanePhaseEncodingDirection": ("ROW", "COL", "COLUMN"),
}
"""Coded strings and all the values that the standard defines for them."""
_GROUPS = (
    "PixelMeasuresSequence",
    "MRImageFrameTypeSequence",
    "MREchoSequence",
    "MRModifierSequence",
    "MRImagingModifierSequence",
    "MRTimingAndRelatedParametersSequence",
    "MRFOVGeometrySequence",
    "MRAveragesSequence",
)
_TEXTS = ("Manufacturer", "ManufacturerModelName", "ImageType", "FrameType", "AcquisitionMatrix")


def acquisition_facts(series: DicomSeries, sandbox: Sandbox | None = None) -> dict[str, object]:
    """Acquisition parameters of a series, from the header of its first slice.

    Args:
        series: found by a ``DicomScanner``.
        sandbox: child processes that parse the header; by default the shared one.

    Returns:
        BIDS names to numbers, coded strings or lists of them: times in seconds, lengths in
        millimetres, angles in degrees, field strength in tesla. Missing and invalid values are
        left out. ``Contrast`` is a word such as ``t1``, where a description holds one.

    Raises:
        ScanError: the header can no longer be parsed.

    Source:
        BIDS 1.10, Magnetic Resonance Imaging, common metadata fields; DICOM PS3.3 C.8.3 and
        C.8.13.
    """
    sandbox = sandbox or shared_sandbox()
    path = series.folder / series.members[0]
    facts = sandbox.call(read_facts, path, series.frames[0], where=path)
    return facts | ({"Contrast": series.contrast} if series.contrast else {})


def read_facts(path: Path, frame: int) -> dict[str, object]:
    """Acquisition parameters of one file; runs in a child process of the sandbox only.

    Args:
        path: DICOM.
        frame: index of the frame whose functional groups are read in an enhanced object.
    """
    keywords = {name for number in NUMBERS.values() for name in number.keywords}
    wanted = [*keywords, *DEFINED_TERMS, *_TEXTS, SHARED, PER_FRAME]
    try:
        dataset = open_dicom(path, stop_before_pixels=True, specific_tags=wanted)
        sources = list(_sources(dataset, frame))
        return {**_coded(sources), **_numbers(sources)}
    except Exception as error:  # a malicious file can make the parser raise anything
        raise unreadable(path, "a DICOM header", error) from None


def _sources(dataset: Dataset, frame: int) -> Iterator[Dataset]:
    """Where parameters may be stored: per frame, shared by all frames, at the top level."""
    for sequence in ((dataset.get(PER_FRAME) or ())[frame:], dataset.get(SHARED) or ()):
        for groups in sequence[:1]:
            for name in _GROUPS:
                yield from (groups.get(name) or ())[:1]
    yield dataset


def _values(sources: list[Dataset], keyword: str) -> list[Any]:
    """The values of a tag from the first source that has it, limited in number."""
    for source in sources:
        value = source.get(keyword)
        if value not in (None, ""):
            many = value if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
            return list(many)[:MAXIMUM_VALUES]
    return []


def _coded(sources: list[Dataset]) -> dict[str, object]:
    facts: dict[str, object] = {}
    for name, terms in DEFINED_TERMS.items():
        values = [str(value) for value in _values(sources, name)]
        if values and all(value in terms for value in values):
            facts[name] = values[0] if len(values) == 1 else values
    image_type = [str(v) for v in _values(sources, "FrameType") or _values(sources, "ImageType")]
    if image_type and all(CODED_STRING.fullmatch(value) for value in image_type):
        facts["ImageType"] = image_type
    facts |= _phase_encoding(facts.pop("InPlanePhaseEncodingDirection", None))
    for name, keyword, listed in (
        ("Manufacturer", "Manufacturer", _manufacturer),
        ("ManufacturersModelName", "ManufacturerModelName", _model),
    ):
        known = listed(" ".join(str(value) for value in _values(sources, keyword)[:1]))
        if known:
            facts[name] = known
    return facts


def _phase_encoding(direction: object) -> dict[str, object]:
    """The axis only: DICOM does not define its sign, which the direction of BIDS includes."""
    if direction is None:
        return {}
    # Volumes are indexed (column, row, slice): the first index runs along a row.
    axis = "i" if direction == "ROW" else "j"
    return {
        "InPlanePhaseEncodingDirectionDICOM": "ROW" if direction == "ROW" else "COL",
        "PhaseEncodingAxis": axis,
    }


@cache
def _scanner_names() -> dict[str, list[str]]:
    """Manufacturers with their models."""
    text = resources.files(__package__).joinpath("scanner_names.yaml").read_text(encoding="utf-8")
    names: dict[str, list[str]] = yaml.safe_load(text)
    return names


def _manufacturer(text: str) -> str | None:
    words = f"{_plain(text)} "
    return next((name for name in _scanner_names() if words.startswith(f"{_plain(name)} ")), None)


def _model(text: str) -> str | None:
    words = _plain(text).removeprefix("magnetom ")
    models = (model for names in _scanner_names().values() for model in names)
    return next((model for model in models if words == _plain(model)), None)


def _plain(text: str) -> str:
    return " ".join(re.split(r"[\s_]+", text.strip().lower()))


def _numbers(sources: list[Dataset]) -> dict[str, object]:
    facts: dict[str, object] = {}
    for name, number in NUMBERS.items():
        found = (_number(_values(sources, keyword), number) for keyword in number.keywords)
        value = next((one for one in found if one is not None), None)
        if value is not None:
            facts[name] = int(value) if name in WHOLE_NUMBERS else value
    matrix = [
        _number([value], _Number((), 4096)) for value in _values(sources, "AcquisitionMatrix")
    ]
    if len(matrix) == 4 and None not in matrix and any(matrix):
        facts["AcquisitionMatrix"] = [int(value) for value in matrix if value is not None]
    return facts


def _number(values: list[Any], wanted: _Number) -> float | None:
    """A single valid value in the unit of BIDS; None if there is none, or several."""
    if len(values) != 1:
        return None
    try:
        value = float(values[0])
    except (TypeError, ValueError, OverflowError):
        return None
    if not (math.isfinite(value) and wanted.lowest <= value <= wanted.highest):
        return None
    # Ten digits: multiplying by 0.001 adds rounding errors beyond them.
    return float(f"{value * wanted.factor:.10g}")
