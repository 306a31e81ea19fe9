"""Labels, colours and codes of a configuration in, one ``Structure`` a label out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slicewise.config import CodedTerm, StructureSection

# Okabe and Ito: told apart by colour-blind eyes, too.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


@dataclass(frozen=True)
class Structure:
    """What one value of a label map means.

    Attributes:
        name: as the configuration calls it.
        value: in the label map.
        colour: #rrggbb.
        category: segmented property category; None takes the default of the format.
        type: segmented property type; None takes the default of the format.
        surface_tolerance_mm: distance of surfaces that surface Dice counts as agreement.
        several_components: whether its connected components are scored, too.
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


def structures_of(
    labels: Mapping[str, int], sections: Mapping[str, StructureSection]
) -> tuple[Structure, ...]:
    """The structures of a configuration, in the order of its labels.

    Args:
        labels: ``data.labels``: structure name to value.
        sections: ``structures``: what is said about some of them.
    """
    said = {name: sections.get(name, StructureSection()) for name in labels}
    return tuple(
        Structure(
            name,
            value,
            said[name].colour or COLOURS[place % len(COLOURS)],
            said[name].category,
            said[name].type,
            said[name].surface_tolerance_mm,
            said[name].several_components,
        )
        for place, (name, value) in enumerate(labels.items())
    )
