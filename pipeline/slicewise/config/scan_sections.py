"""Sections about reading scans, and about colours and codes of structures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from slicewise.config.base import PositiveFloat, Section


class ReadingSection(Section):
    """Error handling when scans are read: ambiguous scans are refused by default."""

    nifti_form: Literal["agreeing", "sform", "qform"] = "agreeing"
    """Which affine of a NIfTI header is used where sform and qform differ; ``agreeing`` refuses."""
    irregular_slices: Literal["refuse", "resample"] = "refuse"
    """DICOM series with irregular slice distances or a gantry tilt; ``resample`` interpolates them
    linearly onto a regular, rectangular grid."""
    non_finite: Literal["refuse", "zero"] = "refuse"
    """NaN and infinite voxels; ``zero`` replaces them by 0."""
    different_grids: Literal["refuse", "resample"] = "refuse"
    """Contrasts of a case on different grids; ``resample`` interpolates all linearly onto the grid
    of the first."""


class CodedTerm(Section):
    """A concept of a terminology, such as SCT 10200004 Liver."""

    value: Annotated[str, Field(min_length=1, max_length=16)]
    """Code of the concept."""
    scheme: Annotated[str, Field(min_length=1, max_length=16)] = "SCT"
    """Designator of the terminology; SCT is SNOMED CT."""
    meaning: Annotated[str, Field(min_length=1, max_length=64)]
    """Human-readable meaning of the code."""


class StructureSection(Section):
    """Colour and codes of one structure in exported masks, and how it is scored."""

    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None
    """Colour as #rrggbb; null takes the next colour of a colour-blind-safe palette."""
    category: CodedTerm | None = None
    """Segmented property category of DICOM SEG; null takes that of the type."""
    type: CodedTerm | None = None
    """Segmented property type of DICOM SEG; null looks up the name in SNOMED CT."""
    surface_tolerance_mm: PositiveFloat = 1.0
    """Tolerance of surface Dice, such as the inter-rater variability."""
    several_components: bool = False
    """Whether connected components, such as lesions, are counted and scored one by one, too."""
