"""Fingerprints of data sets that exist as figures only, and small ones on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from slicewise.dataset.case_qc import Intensities
from slicewise.dataset.cohort_qc import Overview
from slicewise.dataset.duplicates import Duplicates
from slicewise.planning.fingerprint import (
    CaseFingerprint,
    ContrastFacts,
    Fingerprint,
    StructureFacts,
)

PLAIN = ContrastFacts(Intensities(0, 5, 80, 200, 240), 0.0, 0.4, 230)
OVERVIEW = Overview(0, 0, 0, 0, 0, ("T1",), (), Duplicates((), {}), (), (), (), ())


@pytest.fixture(scope="session")
def case() -> Callable[..., CaseFingerprint]:
    """``case("a", shape=..., spacing_mm=...)``: a plausible isotropic case with two structures."""

    def made(name: str, **changes: Any) -> CaseFingerprint:
        plain = CaseFingerprint(
            name=name,
            patient=name,
            shape=(40, 60, 50),
            spacing_mm=(1.0, 1.0, 1.0),
            orientation="RAS",
            contrasts={"T1": PLAIN},
            structures={
                1: StructureFacts(2400, (20.0, 25.0, 15.0), 1),
                2: StructureFacts(1200, (10.0, 12.0, 9.0), 1),
            },
            extent_mm=(24.0, 30.0, 18.0),
        )
        return replace(plain, **changes)

    return made


@pytest.fixture(scope="session")
def data_set() -> Callable[..., Fingerprint]:
    """``data_set(case, case, ...)``: their fingerprint."""

    def made(*cases: CaseFingerprint, **changes: Any) -> Fingerprint:
        plain = Fingerprint(cases, ("T1",), {"big": 1, "small": 2}, None, OVERVIEW)
        return replace(plain, **changes)

    return made


@pytest.fixture(scope="session")
def write_case() -> Callable[..., None]:
    """``write_case(folder, "a", voxels, label, spacing_mm)``: a pair of NIfTI files."""

    def written(
        folder: Path,
        name: str,
        voxels: NDArray[Any],
        label: NDArray[Any],
        spacing_mm: tuple[float, float, float] = (1.0, 1.2, 3.0),
    ) -> None:
        # Left is first, so that stored and upright axes differ.
        affine = np.diag([-spacing_mm[0], spacing_mm[1], spacing_mm[2], 1.0])
        for side, values in (("images", voxels), ("labels", label)):
            (folder / side).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(values, affine), folder / side / f"{name}.nii.gz")

    return written
