"""The options that inference tuning tries: temperatures, mirroring and post-processing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from slicewise.config import InferenceSection, PostprocessingSection
from slicewise.config.base import MirrorAxis

TEMPERATURES = tuple(round(2 ** (place / 4), 4) for place in range(-4, 7))
"""From 0.5 to 2.83 in steps of 19 %: half a step from the best one costs next to nothing."""
NEUTRAL = TEMPERATURES.index(1.0)

_MINIMUM_VOLUMES_ML = (0.01, 0.03, 0.1, 0.3, 1.0)
POSTPROCESSING: Mapping[str, PostprocessingSection] = MappingProxyType(
    {
        "largest component": PostprocessingSection(largest_component=True),
        "fill holes": PostprocessingSection(fill_holes=True),
        "largest component, fill holes": PostprocessingSection(
            largest_component=True, fill_holes=True
        ),
        **{
            f"components of {volume} ml and more": PostprocessingSection(minimum_volume_ml=volume)
            for volume in _MINIMUM_VOLUMES_ML
        },
    }
)
"""What is tried for each structure, by the name that tables show."""


def mirror_options(axes: Sequence[MirrorAxis]) -> dict[str, tuple[MirrorAxis, ...]]:
    """Each axis that training mirrored, and all of them together, by the name that tables show."""
    options: dict[str, tuple[MirrorAxis, ...]] = {mirror_name((axis,)): (axis,) for axis in axes}
    if len(axes) > 1:
        options[mirror_name(axes)] = tuple(axes)
    return options


def mirror_name(axes: Sequence[MirrorAxis]) -> str:
    """How tables call the mirroring along some axes."""
    return ", ".join(axis.replace("_", "-") for axis in axes)


def mirror_axes(name: str) -> tuple[str, ...]:
    """The axes that ``mirror_name`` has named; none for an empty name."""
    return tuple(axis.replace("-", "_") for axis in name.split(", ")) if name else ()


def is_configured(section: InferenceSection) -> bool:
    """Whether the configuration itself sets what would be tuned."""
    plain = InferenceSection(
        overlap=section.overlap,
        batch_size=section.batch_size,
        slice_exclusive=section.slice_exclusive,
    )
    return section != plain
