"""Scans and masks as JSON for the script of the viewer.

The viewer shows the planes of the scan, undistorted; voxels are turned to the nearest RAS order
and nothing is interpolated. Their exact position in world coordinates is included.
"""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from numpy.typing import NDArray

from slicewise.errors import LabelError, ScanError
from slicewise.imaging.nifti.skew import ROUNDING_RADIANS
from slicewise.imaging.structures import COLOURS, Structure
from slicewise.imaging.volume import Volume, require_same_grid
from slicewise.quantities import counted, size
from slicewise.reporting.slice_images import has_orientation

MAX_MASKS = 4
"""Of one scan: a texel on the graphics card holds the labels of so many."""
MAX_STRUCTURES = 255
"""Of one mask: a label takes one byte."""
_WINDOW_PERCENTILES = (1.0, 99.7)
_MAX_SAMPLES = 2_000_000
_NOTICED_TILT_DEGREES = 0.5
_TYPES = (np.uint8, np.int16, np.uint16, np.float32, np.float64)


@dataclass(frozen=True)
class ViewedMask:
    """A label map to be laid over a scan.

    Attributes:
        name: as the page shows it, such as ``prediction``.
        label: whole numbers, on the grid of the scan.
        structures: names and colours; values without one are called ``label 7``.
    """

    name: str
    label: Volume
    structures: tuple[Structure, ...] = ()


@dataclass(frozen=True)
class ViewedScan:
    """A scan to be looked at.

    Attributes:
        title: as the page shows it.
        scan: intensities.
        masks: at most four, all on the grid of the scan.
        note: a line below the title.
    """

    title: str
    scan: Volume
    masks: tuple[ViewedMask, ...] = ()
    note: str = ""


def viewed_json(viewed: ViewedScan) -> Markup:
    """Everything about one scan, as JSON that may stand inside of a page's ``script`` element.

    Raises:
        GeometryError: a mask lies on another grid.
        LabelError: more masks or structures than the viewer holds.
        ScanError: no voxel holds a number.
    """
    if len(viewed.masks) > MAX_MASKS:
        raise LabelError(
            viewed.title,
            expected=f"at most {MAX_MASKS} masks",
            found=counted(len(viewed.masks), "mask"),
            remedy="leave some of them out",
        )
    upright = viewed.scan.reoriented("RAS")
    to_stored = np.linalg.inv(viewed.scan.affine) @ upright.affine
    content = {
        "title": viewed.title,
        "notes": [text for text in (viewed.note, _plane_note(viewed.scan)) if text],
        "has_sides": has_orientation(viewed.scan),
        "shape": upright.shape,
        "spacing_mm": upright.spacing_mm,
        "affine": upright.affine.tolist(),
        "to_stored": np.rint(to_stored).astype(int).tolist(),
        "start": _start(viewed),
        "window": _window(upright),
        "scan": _packed(_drawable(upright)),
        "masks": [_mask_content(mask, viewed.scan) for mask in viewed.masks],
    }
    # Names may hold markup; what it is made of is escaped.
    return htmlsafe_json_dumps(content)


def structures_shown(mask: ViewedMask) -> list[Structure]:
    """The structures of a mask: those that are named, then values that nothing names."""
    known = {structure.value for structure in mask.structures}
    found = (int(value) for value in np.unique(mask.label.voxels))
    unnamed = [value for value in found if value != 0 and value not in known]
    return [
        *mask.structures,
        *(
            Structure(f"label {value}", value, COLOURS[(value - 1) % len(COLOURS)])
            for value in unnamed
        ),
    ]


def _mask_content(mask: ViewedMask, scan: Volume) -> dict[str, object]:
    require_same_grid(scan, mask.label)
    structures = structures_shown(mask)
    if len(structures) > MAX_STRUCTURES:
        raise LabelError(
            mask.name,
            expected=f"a label map of at most {MAX_STRUCTURES} structures",
            found=counted(len(structures), "different value"),
            remedy="give a label map; intensities and probabilities are no masks",
        )
    upright = mask.label.reoriented("RAS")
    numbers = np.zeros(upright.shape, dtype=np.uint8)
    rows = []
    for number, structure in enumerate(structures, start=1):
        inside = upright.voxels == structure.value
        numbers[inside] = number
        found = int(np.count_nonzero(inside)) * upright.voxel_size
        rows.append(
            {
                "name": structure.name,
                "colour": structure.colour,
                "volume": size(found, in_pixels=not upright.spacing_is_known),
            }
        )
    return {
        "name": mask.name,
        "labels": _packed(numbers.tobytes(order="F")),
        "structures": rows,
    }


def _start(viewed: ViewedScan) -> list[int]:
    """Where to begin to look, as an index of the RAS grid.

    In the axial plane that cuts most of the first mask that is not empty, or in the middle.
    """
    for mask in viewed.masks:
        labels = mask.label.reoriented("RAS").voxels
        areas = np.count_nonzero(labels, axis=(0, 1))
        if areas.any():
            plane = int(areas.argmax())
            inside = np.argwhere(labels[:, :, plane])  # (N, 2)
            nearest = np.linalg.norm(inside - inside.mean(axis=0), axis=1).argmin()
            return [*(int(index) for index in inside[nearest]), plane]
    return [size // 2 for size in viewed.scan.reoriented("RAS").shape]


def _drawable(upright: Volume) -> bytes:
    """A NIfTI file of the voxels as the renderer wants it: along its own axes, without free text.

    The renderer draws the planes of the grid, and need not know how these lie in the world.
    """
    affine = np.diag([*upright.spacing_mm, 1.0])
    return bytes(nib.nifti1.Nifti1Image(_smallest(upright.voxels), affine).to_bytes())


def _smallest(voxels: NDArray[Any]) -> NDArray[Any]:
    """The same values in the smallest type that the renderer knows and that keeps them all."""
    for kind in _TYPES:
        with np.errstate(invalid="ignore", over="ignore"):
            stored = voxels.astype(kind)
        if np.array_equal(stored, voxels, equal_nan=voxels.dtype.kind == "f"):
            return stored
    # Whole numbers beyond 2**53: the renderer knows nothing better.
    return voxels.astype(np.float64)


def _packed(content: bytes) -> str:
    """Compressed, as text; a fixed time stamp makes the same page of the same scans."""
    return base64.b64encode(gzip.compress(content, compresslevel=6, mtime=0)).decode()


def _window(scan: Volume) -> dict[str, float]:
    """Darkest and brightest value to begin with, and the range that there is."""
    values = scan.voxels[np.isfinite(scan.voxels)]
    if values.size == 0:
        raise ScanError(
            scan.name,
            expected="voxels that are numbers",
            found="NaN or infinite values alone",
            remedy="export the scan again",
        )
    lowest, highest = float(values.min()), float(values.max())
    # A part of a large scan tells its percentiles well enough.
    samples = values[:: max(values.size // _MAX_SAMPLES, 1)]
    low, high = (float(value) for value in np.percentile(samples, _WINDOW_PERCENTILES))
    if high <= low:
        low, high = lowest, highest
    if high <= low:
        high = low + 1
    return {"low": low, "high": high, "lowest": lowest, "highest": max(highest, high)}


def _plane_note(scan: Volume) -> str:
    """What should be known of planes that are not those of the body."""
    if not has_orientation(scan):
        return "A plain picture: left and right are unknown, and a pixel is taken for 1 mm."
    axes = scan.reoriented("RAS").affine[:3, :3]
    axes = axes / np.linalg.norm(axes, axis=0)
    notes = []
    tilt_degrees = float(np.degrees(np.arccos(np.clip(np.diag(axes), -1, 1))).max())
    if tilt_degrees > _NOTICED_TILT_DEGREES:
        notes.append(
            f"Oblique scan: its own planes are shown, tilted by up to {tilt_degrees:.0f} degrees "
            "against those of the body; positions are those of the body."
        )
    cosines = (axes.T @ axes)[np.triu_indices(3, k=1)]
    if np.abs(np.arcsin(np.clip(cosines, -1, 1))).max() > ROUNDING_RADIANS:
        notes.append("The axes of the grid are skewed; they are drawn at right angles.")
    return " ".join(notes)
