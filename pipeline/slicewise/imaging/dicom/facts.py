"""A DICOM series in, how it was acquired out, under BIDS names; nothing that tells who was scanned.

Free text never gets through: only numbers within what a scanner can do, coded strings, and makers
and models that are on a list.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicewise.imaging.dicom.frames import PER_FRAME, SHARED
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
    """A number: how the standard calls it, what BIDS wants, and what is believed.

    Attributes:
        keywords: the first one that holds a believable value counts; enhanced objects use others.
        factor: from the unit of DICOM to that of BIDS.
        lowest: of DICOM's unit, itself believed.
        highest: of DICOM's unit, itself believed.
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
"""Coded strings of which the standard lists every value."""
MAKERS = (
    "Siemens", "GE", "Philips", "Canon", "Toshiba", "Hitachi", "Fujifilm", "Hyperfine",
    "United Imaging", "UIH", "Bruker", "Esaote", "Neusoft", "Mindray", "Paramed", "Varian",
    "Agilent", "MR Solutions", "Magnetica", "Synaptive", "AllTech", "Wandong",
)  # fmt: skip
"""Makers of MRI scanners; the first that a header's text begins with is written."""
MODELS = (
    "Aera", "Allegra", "Altea", "Amira", "Avanto", "Avanto_fit", "Biograph_mMR", "Cima.X",
    "Concerto", "Espree", "Free.Max", "Harmony", "Investigational_Device_7T", "Lumina",
    "Prisma", "Prisma_fit", "Skyra", "Skyra_fit", "Sola", "Sonata", "Spectra", "Symphony",
    "SymphonyTim", "Terra", "Terra.X", "Trio", "TrioTim", "Verio", "Vida", "Vision",
    "Brivo MR355", "DISCOVERY MR450", "DISCOVERY MR750", "DISCOVERY MR750w", "GENESIS_SIGNA",
    "Optima MR360", "Optima MR450w", "SIGNA Architect", "SIGNA Artist", "SIGNA EXCITE",
    "SIGNA HDe", "SIGNA HDx", "Signa HDxt", "SIGNA Hero", "SIGNA PET/MR", "SIGNA Pioneer",
    "SIGNA Premier", "SIGNA Voyager",
    "Achieva", "Achieva dStream", "Gyroscan Intera", "Gyroscan NT", "Ingenia",
    "Ingenia Ambition X", "Ingenia CX", "Ingenia Elition X", "Intera", "Intera Achieva",
    "MR 7700", "Multiva", "Panorama HFO", "Prodiva",
    "Titan", "Vantage Centurian", "Vantage Elan", "Vantage Galan", "Vantage Orian",
    "Vantage Titan", "AIRIS", "AIRIS II", "AIRIS Elite", "APERTO", "ECHELON", "ECHELON OVAL",
    "OASIS", "Swoop", "uMR 570", "uMR 770", "uMR 780", "uMR 790", "uMR 880", "uMR Omega",
)  # fmt: skip
"""Models of scanners; what is not listed is left out, for its text could be anything."""
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
    """How a series was acquired, as its first slice tells it.

    Args:
        series: as a scan of its folder gives it.
        sandbox: where the header is parsed; by default the one of this process.

    Returns:
        BIDS names to numbers, coded strings or lists of them: times in seconds, lengths in
        millimetres, angles in degrees, field strength in tesla. What a header does not tell, or
        tells in a way that is not believed, is left out.

    Raises:
        ScanError: the header cannot be parsed any more.

    Source:
        BIDS 1.10, Magnetic Resonance Imaging, common metadata fields; DICOM PS3.3 C.8.3 and
        C.8.13.
    """
    sandbox = sandbox or shared_sandbox()
    path = series.folder / series.members[0]
    return sandbox.call(read_facts, path, series.frames[0], where=path)


def read_facts(path: Path, frame: int) -> dict[str, object]:
    """The facts of one file; runs in the sandbox's child process only.

    Args:
        path: DICOM.
        frame: whose own functional groups count in an enhanced object, from 0.
    """
    import pydicom

    keywords = {name for number in NUMBERS.values() for name in number.keywords}
    wanted = [*keywords, *DEFINED_TERMS, *_TEXTS, SHARED, PER_FRAME]
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted)
        sources = list(_sources(dataset, frame))
        return {**_coded(sources), **_numbers(sources)}
    except Exception as error:  # a hostile file can make the parser raise anything
        raise unreadable(path, "a DICOM header", error) from None


def _sources(dataset: Dataset, frame: int) -> Iterator[Dataset]:
    """Where facts may stand: with the frame, with what all frames share, at the top."""
    for sequence in ((dataset.get(PER_FRAME) or ())[frame:], dataset.get(SHARED) or ()):
        for groups in sequence[:1]:
            for name in _GROUPS:
                yield from (groups.get(name) or ())[:1]
    yield dataset


def _values(sources: list[Dataset], keyword: str) -> list[Any]:
    """The first values of a tag that there are; texts are at most as long as the standard says."""
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
        ("Manufacturer", "Manufacturer", _maker),
        ("ManufacturersModelName", "ManufacturerModelName", _model),
    ):
        known = listed(" ".join(str(value) for value in _values(sources, keyword)[:1]))
        if known:
            facts[name] = known
    return facts


def _phase_encoding(direction: object) -> dict[str, object]:
    """The axis only: DICOM does not tell which end comes first, as BIDS' direction would."""
    if direction is None:
        return {}
    # Our volumes are indexed (column, row, slice): along a row the first index runs.
    axis = "i" if direction == "ROW" else "j"
    return {
        "InPlanePhaseEncodingDirectionDICOM": "ROW" if direction == "ROW" else "COL",
        "PhaseEncodingAxis": axis,
    }


def _maker(text: str) -> str | None:
    words = _plain(text)
    return next((maker for maker in MAKERS if f"{words} ".startswith(f"{_plain(maker)} ")), None)


def _model(text: str) -> str | None:
    words = _plain(text).removeprefix("magnetom ")
    return next((model for model in MODELS if words == _plain(model)), None)


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
    """The only value in the unit of BIDS, if it is one that a scanner could have set."""
    if len(values) != 1:
        return None
    try:
        value = float(values[0])
    except (TypeError, ValueError, OverflowError):
        return None
    if not (math.isfinite(value) and wanted.lowest <= value <= wanted.highest):
        return None
    # Ten digits: what multiplying by a thousandth adds beyond them is noise.
    return float(f"{value * wanted.factor:.10g}")
