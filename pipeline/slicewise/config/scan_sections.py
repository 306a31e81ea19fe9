"""The sections about scans and structures: how faults are met, what masks are called."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from slicewise.config.base import PositiveFloat, Section


class ReadingSection(Section):
    """How faults of scans are met; what cannot be known is refused unless a choice is made."""

    nifti_form: Literal["agreeing", "sform", "qform"] = "agreeing"
    """Which form of a NIfTI header counts where sform and qform differ; ``agreeing`` refuses."""
    irregular_slices: Literal["refuse", "resample"] = "refuse"
    """DICOM series with uneven distances or a tilt; ``resample`` brings them onto an upright,
    regular grid by linear interpolation."""
    non_finite: Literal["refuse", "zero"] = "refuse"
    """NaN and infinite voxels; ``zero`` fills them with 0."""
    different_grids: Literal["refuse", "resample"] = "refuse"
    """Contrasts of one patient on different grids; ``resample`` brings all to the grid of the
    first by linear interpolation."""


class CodedTerm(Section):
    """A concept of a terminology, such as SCT 10200004 Liver."""

    value: Annotated[str, Field(min_length=1, max_length=16)]
    """Code of the concept."""
    scheme: Annotated[str, Field(min_length=1, max_length=16)] = "SCT"
    """Designator of the terminology; SCT is SNOMED CT."""
    meaning: Annotated[str, Field(min_length=1, max_length=64)]
    """What people read."""


class StructureSection(Section):
    """How one structure is coloured and coded in exported masks, and how it is scored."""

    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None
    """Colour as #rrggbb; empty takes the next one of a palette that colour-blind eyes tell
    apart."""
    category: CodedTerm | None = None
    """Segmented property category of DICOM SEG; empty takes the one that the type belongs to."""
    type: CodedTerm | None = None
    """Segmented property type of DICOM SEG; empty looks the name up in SNOMED CT."""
    surface_tolerance_mm: PositiveFloat = 1.0
    """Largest distance of two surfaces that surface Dice still counts as agreement: what two
    experts differ by."""
    several_components: bool = False
    """Whether connected components, such as lesions, are counted and scored one by one, too."""
