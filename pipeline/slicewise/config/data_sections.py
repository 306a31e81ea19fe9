"""Sections that describe a data set and the preprocessing of its scans."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from slicewise.config.base import Contradiction, Positive, PositiveFloat, Section, Seed

FOLD_KINDS = {
    "patient": "by patient",
    "stratified": "by patient, stratified by volume",
    "site": "by site",
    "published": "by case, patients shared",
}
"""Values of ``data.folds`` that need ``data.fold_count``, with their names in results."""


class DataSection(Section):
    """Where the scans are, what their labels mean, and which patients they belong to."""

    root: Path | None = None
    """Folder (or CSV manifest) of the data set; a relative path starts at the working directory."""
    layout: Literal["auto", "decathlon", "nnunet", "pair", "csv", "dicom"] = "auto"
    """How the folder is organised; ``auto`` detects it."""
    images: str | None = None
    """Layout ``pair``: folder of images below the root; null means the usual names."""
    labels_folder: str | None = None
    """Layout ``pair``: folder of labels below the root; null means the usual names."""
    contrasts: tuple[str, ...] = ("image",)
    """Contrasts of a case in the order of the input channels; on the same grid, unless
    ``reading.different_grids`` is ``resample``."""
    labels: dict[str, Positive] = Field(default_factory=dict)
    """Structure name to its value in the label files; 0 is background."""
    patient_pattern: str | None = None
    """Regular expression whose first group, searched in the case name, is the patient."""
    scans_per_patient: Positive = 1
    """For numbered scans: this many consecutive numbers belong to one patient."""
    site_pattern: str | None = None
    """Regular expression whose first group, searched in the case name, is the site."""
    missing_contrasts: Literal["refuse", "zero"] = "refuse"
    """Cases without one of the contrasts; ``zero`` replaces it by a channel of zeros."""
    duplicates: Literal["refuse", "keep_first"] = "refuse"
    """Scans that are there under several names; ``keep_first`` uses the first name of each."""
    label_like_images: Literal["refuse", "use"] = "refuse"
    """Images that look like label maps; ``use`` takes them, such as binary scans, for images."""
    folds: str = "patient"
    """``patient``: k folds grouped by patient. ``stratified``: the same, stratified by the volume
    of the structures. ``site``: grouped by site. ``published``: by case, where folds may share
    patients; only for comparison with published results. Anything else: a JSON file with a list
    of ``{"train": [...], "val": [...]}``."""
    fold_count: Annotated[int, Field(ge=2)] = 5
    """Number of folds; ignored with a split file."""
    fold_seed: Seed = 12345
    """Seed of the shuffling of the folds; ignored with a split file."""
    licence: str | None = None
    """Licence of the data set; appears on the model card."""
    allow_unpaired: bool = False
    """Leave out images without a label and labels without an image, instead of an error."""

    @field_validator("root", mode="before")
    @classmethod
    def _is_named(cls, root: object) -> object:
        # An empty path would be the working directory.
        if root == "":
            raise ValueError("the path of a data set; the working directory is .")
        return root

    @field_validator("patient_pattern", "site_pattern")
    @classmethod
    def _compiles_with_a_group(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"a regular expression ({error})") from None
        if groups < 1:
            raise ValueError(r"a group in parentheses that captures the name, such as (\d+)")
        return pattern

    @field_validator("scans_per_patient")
    @classmethod
    def _numbers_have_a_pattern(cls, scans: int, info: ValidationInfo) -> int:
        if scans > 1 and info.data.get("patient_pattern", "") is None:
            raise ValueError("1 without patient_pattern, whose group captures the number")
        return scans

    @field_validator("labels")
    @classmethod
    def _values_are_distinct(cls, labels: dict[str, int]) -> dict[str, int]:
        if len(set(labels.values())) != len(labels):
            raise ValueError("another value for each structure")
        return labels

    @model_validator(mode="after")
    def _sites_have_a_pattern(self) -> Self:
        if self.folds == "site" and self.site_pattern is None:
            raise Contradiction("site_pattern with folds: site", "folds: site without it")
        return self

    @field_validator("contrasts")
    @classmethod
    def _at_least_one(cls, contrasts: tuple[str, ...]) -> tuple[str, ...]:
        if not contrasts or len(set(contrasts)) != len(contrasts):
            raise ValueError("one or more different names")
        return contrasts


class PreprocessingSection(Section):
    """From a scan to normalised slices; part of the key of the slice cache."""

    plane: Literal["thickest", "axial", "coronal", "sagittal", "all"] = "thickest"
    """Plane of the slices; ``thickest`` slices along the axis with the largest spacing. With
    ``all`` one network is trained on axial, coronal and sagittal slices and applied to all three;
    for nearly isotropic voxels."""
    spacing_mm: tuple[PositiveFloat, ...] | None = None
    """Spacing that every scan is resampled to: two numbers in the plane of the slices, or three
    (x, y, z in RAS) with ``plane: all``; null keeps the spacing of each scan."""
    longest_side: Annotated[int, Field(ge=16, lt=2**15)] | None = None
    """Pixels that the longer side of every slice is resampled to, whatever its spacing; for
    pictures of different sizes, whose spacing is unknown. null keeps the size of each slice."""
    foreground: Literal["all", "nonzero", "otsu"] = "nonzero"
    """Voxels whose mean and standard deviation normalise the volume."""
    clip_percentiles: tuple[Annotated[float, Field(ge=0, le=100)], ...] = (0.5, 99.5)
    """Percentiles of the foreground to which intensities are clipped before normalisation."""
    crop_foreground: bool = False
    """Crop each scan to the bounding box of its foreground; masks cover the whole grid."""

    @field_validator("clip_percentiles")
    @classmethod
    def _pair(cls, percentiles: tuple[float, ...]) -> tuple[float, ...]:
        if len(percentiles) != 2 or percentiles[0] >= percentiles[1]:
            raise ValueError("two ascending percentiles")
        return percentiles

    @field_validator("spacing_mm")
    @classmethod
    def _fits_the_plane(
        cls, spacing_mm: tuple[float, ...] | None, info: ValidationInfo
    ) -> tuple[float, ...] | None:
        plane = info.data.get("plane")
        needed = 3 if plane == "all" else 2
        if spacing_mm is not None and len(spacing_mm) != needed:
            raise ValueError(f"{needed} numbers with plane {plane}, not {len(spacing_mm)}")
        return spacing_mm

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.longest_side is not None and self.spacing_mm is not None:
            raise Contradiction("spacing_mm or longest_side", "both")
        if self.longest_side is not None and self.plane == "all":
            raise Contradiction("slices of a single plane with longest_side", "plane: all")
        return self
