"""Acquisition facts of a NIfTI file, from the JSON file of the same name (a BIDS sidecar)."""

from __future__ import annotations

import json
import math
from pathlib import Path

_MAXIMUM_BYTES = 2**20
_NUMBERS = {
    "EchoTime": 100.0,
    "RepetitionTime": 1000.0,
    "InversionTime": 100.0,
    "FlipAngle": 360.0,
    "MagneticFieldStrength": 30.0,
}
"""Largest valid value of each, in seconds, degrees and tesla."""
_WORDS = ("Modality", "ScanningSequence", "Contrast")
_LONGEST_WORD = 16


def read_sidecar(path: Path, stem: str) -> tuple[dict[str, object], tuple[str, ...]]:
    """Facts that tell how a scan was taken, and warnings.

    Args:
        path: of the NIfTI file.
        stem: its name without suffix.

    Source:
        BIDS 1.10, Magnetic Resonance Imaging, common metadata fields.
    """
    sidecar = path.with_name(f"{stem}.json")
    if not sidecar.is_file():
        return {}, ()
    try:
        with sidecar.open("rb") as file:
            content = json.loads(file.read(_MAXIMUM_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}, ("the JSON file next to it cannot be read and is ignored",)
    if not isinstance(content, dict):
        return {}, ()
    numbers = {name: content.get(name) for name in _NUMBERS}
    words = {name: content.get(name) for name in _WORDS}
    return {
        **{name: value for name, value in numbers.items() if _is_valid(value, _NUMBERS[name])},
        **{name: value for name, value in words.items() if _is_word(value)},
    }, ()


def _is_valid(value: object, highest: float) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 < value <= highest  # type: ignore[arg-type, operator]


def _is_word(value: object) -> bool:
    """Free text is never passed on."""
    return isinstance(value, str) and len(value) <= _LONGEST_WORD and value.isalnum()
