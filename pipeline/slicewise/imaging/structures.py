"""Structures: the names, colours and codes of the labels of a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from slicewise.config import CodedTerm, StructureSection

# Okabe and Ito: a colour-blind-safe palette.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


@dataclass(frozen=True)
class Structure:
    """A structure: one value of a label map.

    Attributes:
        name: key in ``data.labels``.
        value: in the label map.
        colour: #rrggbb.
        category: segmented property category; None takes the default of the format.
        type: segmented property type; None takes the default of the format.
        surface_tolerance_mm: tolerance of surface Dice.
        several_components: whether its connected components are also scored individually.
    """

    name: str
    value: int
    colour: str
    category: CodedTerm | None = None
    type: CodedTerm | None = None
    surface_tolerance_mm: float = 1.0
    several_components: bool = False

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green and blue, 0 to 255."""
        red, green, blue = bytes.fromhex(self.colour.removeprefix("#"))
        return red, green, blue


def plain_name(name: str) -> str:
    """A name for comparison, ignoring case, repeated spaces and underscores."""
    return re.sub(r"[\s_]+", " ", name).strip().casefold()


def structures_of(
    labels: Mapping[str, int], sections: Mapping[str, StructureSection]
) -> tuple[Structure, ...]:
    """The structures of a configuration, in the order of its labels.

    Args:
        labels: ``data.labels``: structure name to value.
        sections: ``structures``: colours and codes by structure name; defaults for all others.
    """
    known = {name: sections.get(name, StructureSection()) for name in labels}
    return tuple(
        Structure(
            name,
            value,
            known[name].colour or COLOURS[place % len(COLOURS)],
            known[name].category,
            known[name].type,
            known[name].surface_tolerance_mm,
            known[name].several_components,
        )
        for place, (name, value) in enumerate(labels.items())
    )
