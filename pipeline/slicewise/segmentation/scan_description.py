"""What the scans of a training looked like, in words for reports and model cards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from slicewise.dataset.measurements import PICTURE, QUANTILES, Measurements
from slicewise.segmentation.scan_summary import ACQUISITION, AXES, PICTURE_AXES, summarize

_NOT_RECORDED = "not recorded in the headers"
_HALF, _MOST = (QUANTILES.index(0.25), QUANTILES.index(0.75)), (0, len(QUANTILES) - 1)
_WHOLE_FROM = 999.5
_SIMILAR = 1.01
"""Lengths whose ratio is below this are one."""


def describe_scans(measured: Sequence[Measurements], contrasts: Sequence[str]) -> dict[str, str]:
    """Term to text: kind of image, acquisition, spacing, size and intensities of scans.

    Args:
        measured: at least one.
        contrasts: of each scan, in order.

    Returns:
        Texts without a name of a scan, a patient or a place.
    """
    spacings, sizes = [item.spacing_mm for item in measured], [item.size_mm for item in measured]
    pictures = all(item.words.get("Kind") == PICTURE for item in measured)
    spacing = "unknown: pictures without geometry" if pictures else _extents(spacings, AXES, "mm")
    names, unit = (PICTURE_AXES[:2], "pixels") if pictures else (AXES, "mm")
    return {
        "modality": _words(measured, "Modality"),
        "acquisition": _acquisition(measured),
        "voxel spacing": spacing,
        "field of view": _extents(sizes, names, unit),
        "intensities": _intensities(measured, contrasts),
    }


def _words(measured: Sequence[Measurements], key: str) -> str:
    counts = Counter(item.words.get(key, "") for item in measured)
    unknown = counts.pop("", 0)
    if not counts:
        return _NOT_RECORDED
    if unknown:
        counts[_NOT_RECORDED] = unknown
    several = len(counts) > 1
    return ", ".join(f"{word} ({count})" if several else word for word, count in counts.items())


def _acquisition(measured: Sequence[Measurements]) -> str:
    parts = [
        text
        for key in ("ScanningSequence", "Contrast")
        if (text := _words(measured, key)) != _NOT_RECORDED
    ]
    for key in ACQUISITION:
        figures = [summarize(item).figures[key] for item in measured if key in item.numbers]
        if figures:
            values = [figure.value for figure in figures]
            parts.append(f"{figures[0].name} {figures[0].range(min(values), max(values))}")
    return ", ".join(parts) or _NOT_RECORDED


def _extents(values: Sequence[Sequence[float]], names: Sequence[str], unit: str) -> str:
    """Ranges along the axes that are named."""
    low, high = np.min(values, axis=0), np.max(values, axis=0)
    parts = [
        _length(least) if most < _SIMILAR * least else f"{_length(least)} to {_length(most)}"
        for least, most in zip(low, high, strict=True)
    ]
    return ", ".join(f"{axis} {part} {unit}" for axis, part in zip(names, parts, strict=False))


def _length(value: float) -> str:
    return f"{value:.3g}" if value < _WHOLE_FROM else f"{value:,.0f}"


def _intensities(measured: Sequence[Measurements], contrasts: Sequence[str]) -> str:
    quantiles = np.mean([item.intensities for item in measured], axis=0)
    parts = []
    for name, own in zip(contrasts, quantiles.reshape(len(contrasts), -1), strict=True):
        prefix = f"{name}: " if len(contrasts) > 1 else ""
        (low, high), (least, most) = (own[list(pair)] for pair in (_HALF, _MOST))
        parts.append(
            f"{prefix}half of the voxels from {low:.1f} to {high:.1f}, 98 % of them from "
            f"{least:.1f} to {most:.1f} standard deviations after normalisation"
        )
    return "; ".join(parts)
