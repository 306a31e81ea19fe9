"""Demo cohort of synthetic brain scans with labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from slicewise.dataset.demo.dicom import write_dicom_series
from slicewise.dataset.demo.subject import (
    DEMO_LABELS,
    Storage,
    Templates,
    load_templates,
    make_subject,
)
from slicewise.errors import DataError
from slicewise.imaging.files import write_table, write_text
from slicewise.imaging.nifti.writing import write_volume

__all__ = ["DEMO_CONFIG", "DEMO_LABELS", "make_demo_cohort"]

DEMO_CONFIG = Path(__file__).with_name("demo.yaml")
"""The configuration that trains on the cohort; it is installed with the package."""
FORMAT_VERSION = 1
MARKER = "demo_cohort.json"

README = """\
SYNTHETIC DEMO COHORT

These brain scans are synthetic: every one of them is the same mean brain in a layer of fluid,
deformed at random, with random contrast, bias field, noise, slice thickness and orientation.
No person was scanned for them.

Good for: trying out the pipeline, its commands and its reports.
Not good for: any claim about accuracy. The subjects are far more alike than people are.

Labels: 1 cerebrospinal fluid (csf), 2 grey matter, 3 white matter; 0 is outside the brain.
Images are NIfTI files or folders with a DICOM series; labels are on the grid of their image.
dataset.csv lists image, label and patient.

Source: ICBM152 nonlinear template, release 2009a (T1, grey and white matter), as carried by
nilearn. Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal
Neurological Institute, McGill University.
Fonov et al., Unbiased average age-appropriate atlases for pediatric studies,
NeuroImage 2011;54(1):313-327.
"""


def make_demo_cohort(folder: Path, subjects: int = 24, seed: int = 0) -> Iterator[str]:
    """Write a synthetic cohort, and yield the name of each subject that is written.

    A complete cohort with the same parameters is kept, and nothing is yielded; an incomplete one is
    written again. Every third subject is a DICOM series, the others are NIfTI.

    Args:
        folder: new, empty, or with a cohort of the same parameters.
        subjects: number of subjects; a subject does not depend on this number.
        seed: the same seed gives the same bytes.

    Raises:
        DataError: the folder has other content.
        OutputError: the folder cannot be written.
    """
    assert subjects > 0, subjects
    parameters = {"format_version": FORMAT_VERSION, "subjects": subjects, "seed": seed}
    if _is_complete(folder, parameters):
        return
    _write_marker(folder, parameters, complete=False)
    write_text(folder / "README.txt", README)
    templates = load_templates()
    rows = []
    for number in range(1, subjects + 1):
        name = f"DEMO-{number:03d}"
        image = _write_subject(folder, templates, number, seed, name)
        rows.append((f"images/{image}", f"labels/{name}.nii.gz", name))
        yield name
    write_table(folder / "dataset.csv", ("image", "label", "patient"), rows)
    _write_marker(folder, parameters, complete=True)


def _is_complete(folder: Path, parameters: dict[str, int]) -> bool:
    """Whether the cohort is complete; refuses a folder with other content."""
    marker = _read_marker(folder / MARKER)
    if marker is None and any(not item.name.startswith(".") for item in folder.glob("*")):
        raise _occupied(folder, "other files")
    if marker is None:
        return False
    complete = marker.pop("complete", False)
    if marker != parameters:
        raise _occupied(folder, f"a demo cohort with {json.dumps(marker)}")
    return complete is True


def _read_marker(path: Path) -> dict[str, object] | None:
    try:
        marker = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _occupied(path.parent, f"an unreadable {MARKER} ({error})") from error
    return marker if isinstance(marker, dict) else None


def _write_marker(folder: Path, parameters: dict[str, int], *, complete: bool) -> None:
    write_text(folder / MARKER, json.dumps({**parameters, "complete": complete}) + "\n")


def _occupied(folder: Path, found: str) -> DataError:
    return DataError(
        folder,
        expected="an empty folder, or a demo cohort of the same size and seed",
        found=found,
        remedy="choose another folder, or remove this one",
    )


def _write_subject(folder: Path, templates: Templates, number: int, seed: int, name: str) -> str:
    """Write image and labels; return the name of the image within ``images``."""
    is_dicom = number % 3 == 0
    random = np.random.default_rng([seed, number])
    image, labels = make_subject(templates, random, _storage(number, is_dicom=is_dicom), name)
    write_volume(labels, folder / "labels" / f"{name}.nii.gz")
    if is_dicom:
        write_dicom_series(image, folder / "images" / name, identity=f"demo {seed} {number}")
        return name
    # Signed integers: every NIfTI reader knows them.
    write_volume(image.with_voxels(image.voxels.astype(np.int16)), _nifti_path(folder, name))
    return _nifti_path(folder, name).name


def _nifti_path(folder: Path, name: str) -> Path:
    return folder / "images" / f"{name}.nii.gz"


def _storage(number: int, *, is_dicom: bool) -> Storage:
    """Mostly axial stacks; in between coronal and sagittal ones, flipped and swapped axes."""
    plane = {5: "coronal", 7: "sagittal"}.get(number % 8, "axial")
    if is_dicom:
        # (column, row, slice) as scanners store them.
        return Storage({"axial": "LPS", "coronal": "LIP", "sagittal": "PIR"}[plane])
    if plane == "coronal":
        # Turned to RAS+ as many converters do, so that the slice axis is the second one.
        return Storage("RAS", slice_axis=1)
    if plane == "sagittal":
        return Storage("PIR")
    return Storage(("LPS", "RAS", "LAS", "RPS")[number % 4])
