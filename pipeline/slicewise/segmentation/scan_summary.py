"""Turns the measurements of a scan into figures and vectors whose distribution is known well."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicewise.dataset.measurements import PICTURE, Measurements
from slicewise.quantities import size

AXES = ("left to right", "back to front", "bottom to top")
PICTURE_AXES = ("in width", "in height", "in depth")
LAYOUT = "layout"
_LEAST_RATIO = math.log(1.25)
_LEAST_DIAMETER_CM = 0.1
_WHOLE_FROM = 999.5
_LEAST_BORDER = 0.05
ACQUISITION = {
    "EchoTime": ("echo time", "ms", 1000.0),
    "RepetitionTime": ("repetition time", "ms", 1000.0),
    "InversionTime": ("inversion time", "ms", 1000.0),
    "FlipAngle": ("flip angle", "degrees", 1.0),
    "MagneticFieldStrength": ("field strength", "T", 1.0),
}


@dataclass(frozen=True)
class Figure:
    """One figure of a scan.

    Attributes:
        name: what it is, in words.
        value: on a scale on which scans of one kind are about normally distributed.
        least: a difference on this scale that never matters.
        shown: writes a value with its unit.
    """

    name: str
    value: float
    least: float
    shown: Callable[[float], str]

    @property
    def text(self) -> str:
        """Name and value."""
        return f"{self.name} {self.shown(self.value)}"

    def range(self, lowest: float, highest: float) -> str:
        """The range of other scans."""
        low, high = self.shown(lowest), self.shown(highest)
        return low if low == high else f"{low.split(' ')[0]} to {high}"


@dataclass(frozen=True)
class Summary:
    """A scan in figures and vectors.

    Attributes:
        figures: key to figure.
        vectors: key to vector; NaN where an entry is undefined.
        axes: how each of ``AXES`` is called; a picture does not know where left is.
    """

    figures: Mapping[str, Figure]
    vectors: Mapping[str, NDArray[np.float64]]
    axes: Mapping[str, str]


def volume_key(structure: str) -> str:
    """Key of the figure for the volume of a structure."""
    return f"volume {structure}"


def summarize(scan: Measurements) -> Summary:
    """Figures and vectors of a scan."""
    figures: dict[str, Figure] = {}
    is_picture = scan.words.get("Kind") == PICTURE
    names = dict(zip(AXES, PICTURE_AXES if is_picture else AXES, strict=True))
    for (axis, name), spacing, extent, step in zip(
        names.items(), scan.spacing_mm, scan.size_mm, scan.texture, strict=True
    ):
        if not is_picture:
            figures[f"spacing {axis}"] = _ratio(f"voxel spacing {name}", spacing, "mm")
        unit = "pixels" if is_picture else "mm"
        figures[f"size {axis}"] = _ratio(f"field of view {name}", extent, unit)
        figures[f"texture {axis}"] = _ratio(f"difference of neighbouring voxels {name}", step, "SD")
    for key, value in scan.numbers.items():
        quantity, unit, factor = ACQUISITION[key]
        figures[key] = _ratio(quantity, factor * value, unit)
    for structure, volume_ml in scan.volumes_ml.items():
        figures[volume_key(structure)] = Figure(
            f"{'area' if is_picture else 'volume'} of {structure}",
            volume_ml ** (1 / 3),
            _LEAST_DIAMETER_CM,
            _area if is_picture else _volume,
        )
    if scan.volumes_ml:
        figures["border"] = Figure(
            "structures cut by the border of the image cover",
            scan.border,
            _LEAST_BORDER,
            lambda share: f"{100 * max(share, 0):.2g} % of it",
        )
    vectors = {
        "intensities": np.array(scan.intensities),
        LAYOUT: np.array(scan.thumbnail),
        "features": np.array(scan.features),
        "places": np.array(
            [scan.places.get(name, (math.nan,) * 3) for name in scan.volumes_ml]
        ).ravel(),
    }
    return Summary(figures, {key: value for key, value in vectors.items() if len(value)}, names)


def _ratio(name: str, value: float, unit: str) -> Figure:
    """A figure of which ratios matter, not differences."""
    return Figure(
        name,
        math.log(max(value, 1e-3)),
        _LEAST_RATIO,
        lambda logarithm: f"{_three_digits(math.exp(logarithm))} {unit}",
    )


def _volume(side_cm: float) -> str:
    return size(max(side_cm, 0) ** 3)


def _area(side: float) -> str:
    """A pixel counts as a voxel of 1 mm."""
    return size(1000 * max(side, 0) ** 3, in_pixels=True)


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE_FROM else f"{value:.3g}"
