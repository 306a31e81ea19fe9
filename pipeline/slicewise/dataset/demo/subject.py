"""Synthetic subjects: deformed templates, imaged with random contrast and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch.nn import functional

from slicewise.imaging.volume import Affine, Volume

DEMO_LABELS = {"csf": 1, "grey_matter": 2, "white_matter": 3}

SUB_SLICES = 3
HEAD_MM = {"R": 168.0, "A": 206.0, "S": 164.0}
MOST_SLICES = 40
LARGEST_LIPSCHITZ = 0.8
# Intensity of the ventricles in the template.
CSF_INTENSITY = 0.27

DIRECTIONS = {
    "R": (1, 0, 0),
    "L": (-1, 0, 0),
    "A": (0, 1, 0),
    "P": (0, -1, 0),
    "S": (0, 0, 1),
    "I": (0, 0, -1),
}

FloatArray = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class Templates:
    """Mean anatomy that is deformed into subjects.

    Attributes:
        maps: (4, X, Y, Z), in [0, 1]: T1 intensity, then the share of CSF, grey and white matter.
        affine: (4, 4), voxel indices to RAS+ millimetres.
        centre_mm: (3,), middle of the box around the brain, RAS+.
    """

    maps: NDArray[np.float32]
    affine: Affine
    centre_mm: NDArray[np.float64]


def load_templates() -> Templates:
    """Read the ICBM152 2009a T1, grey- and white-matter templates of nilearn.

    The template's brain is cut out along its surface, without the fluid around it. A layer of
    fluid is put back: it fills the fissures and covers the brain some 3 mm thick.

    Source:
        Fonov et al., NeuroImage 2011;54(1):313-327.
    """
    # Importing nilearn takes seconds.
    from nilearn.datasets import (
        load_mni152_gm_template,
        load_mni152_template,
        load_mni152_wm_template,
    )

    image = load_mni152_template(resolution=1)
    t1 = np.asarray(image.dataobj, dtype=np.float32)
    brain = t1 > 0  # everything else is exactly zero
    grey = np.where(brain, load_mni152_gm_template(resolution=1).get_fdata(dtype=np.float32), 0)
    white = np.where(brain, load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32), 0)
    inside = ndimage.gaussian_filter(brain.astype(np.float32), sigma=4, truncate=3) > 0.2
    csf = np.clip((brain | inside) - grey - white, 0, 1)
    t1[inside & ~brain] = CSF_INTENSITY
    maps = np.stack([t1, csf, grey, white], axis=-1, dtype=np.float32)  # (X, Y, Z, 4)
    # With the four values of a voxel contiguous in memory, sampling is twice as fast.
    maps = np.moveaxis(np.ascontiguousarray(maps), -1, 0)  # (4, X, Y, Z)
    affine = np.asarray(image.affine, dtype=np.float64)
    (box,) = ndimage.find_objects(brain.astype(np.uint8))
    middle = [(side.start + side.stop - 1) / 2 for side in box]
    return Templates(maps, affine, affine[:3, :3] @ middle + affine[:3, 3])


@dataclass(frozen=True)
class Deformation:
    """An invertible map of positions in millimetres: ``pose @ (point + displacement(point))``.

    Displacements are trilinear between nodes and constant beyond them.

    Attributes:
        nodes_mm: (3, X, Y, Z), the displacement at each node; the middle node is the origin.
        node_spacing_mm: distance between neighbouring nodes.
        pose: (3, 3), rotation and scale.
    """

    nodes_mm: NDArray[np.float64]
    node_spacing_mm: float
    pose: NDArray[np.float64]

    def __call__(self, points_mm: FloatArray) -> NDArray[np.float64]:
        """Deformed positions, shapes (3, N) to (3, N)."""
        middle = (np.array(self.nodes_mm.shape[1:]) - 1) / 2
        index = points_mm / self.node_spacing_mm + middle[:, None]
        shift = _interpolate(self.nodes_mm, index, beyond="border")
        return np.asarray(self.pose @ (points_mm + shift))

    @property
    def lipschitz(self) -> float:
        """Lipschitz bound of the displacement; the map is invertible below 1.

        Between nodes each partial derivative is a weighted mean of edge differences, so the
        largest edge difference along each axis bounds it.
        """
        return _lipschitz_bound(self.nodes_mm, self.node_spacing_mm)


def random_deformation(random: np.random.Generator) -> Deformation:
    """Sample a head shape: smooth local displacements, then scale and pose."""
    node_spacing_mm = 10.0
    noise = random.standard_normal((3, 25, 27, 25))
    nodes = np.stack([ndimage.gaussian_filter(component, sigma=2.5) for component in noise])
    strength = random.uniform(0.6, 1.0) * LARGEST_LIPSCHITZ
    nodes *= strength / _lipschitz_bound(nodes, node_spacing_mm)
    # Divided by the size of the subject, because the map is from subject to template.
    scale = 1 / random.uniform(0.9, 1.05, size=3)
    pose = _rotation(random, largest_degrees=4) @ np.diag(scale)
    return Deformation(nodes, node_spacing_mm, pose)


@dataclass(frozen=True)
class Storage:
    """How a scan is stored: the direction of each array axis, and the slice axis."""

    codes: str
    slice_axis: int = 2


def random_grid(
    random: np.random.Generator, storage: Storage, centre_mm: FloatArray
) -> tuple[tuple[int, int, int], Affine]:
    """Sample shape and affine of an oblique grid of thick slices around the head.

    Args:
        random: the subject's generator.
        storage: axis directions and which of them crosses the slices.
        centre_mm: (3,), middle of the head, RAS+.

    Returns:
        The shape, and the (4, 4) affine from voxel indices to RAS+ millimetres.
    """
    spacing_mm = np.full(3, random.uniform(1.5, 1.8))
    spacing_mm[storage.slice_axis] = random.uniform(3.4, 4.0)
    directions = np.array([DIRECTIONS[code] for code in storage.codes], dtype=np.float64)
    field_of_view_mm = np.abs(directions) @ np.array(list(HEAD_MM.values()))
    shape = np.ceil(field_of_view_mm * random.uniform(0.99, 1.03) / spacing_mm).astype(int)
    shape[storage.slice_axis] = min(shape[storage.slice_axis], MOST_SLICES)
    affine = np.eye(4)
    affine[:3, :3] = _rotation(random, largest_degrees=12) @ (directions.T * spacing_mm)
    middle_mm = centre_mm + random.uniform(-4, 4, size=3)
    affine[:3, 3] = middle_mm - affine[:3, :3] @ ((shape - 1) / 2)
    return (int(shape[0]), int(shape[1]), int(shape[2])), affine


def make_subject(
    templates: Templates, random: np.random.Generator, storage: Storage, name: str
) -> tuple[Volume, Volume]:
    """Deform the templates and image them with bias field, contrast and noise.

    Args:
        templates: the anatomy to start from.
        random: the subject's own generator.
        storage: how the scan is cut and stored.
        name: what both volumes are called.

    Returns:
        The image (uint16, shape (X, Y, Z)) and, on the same grid, the label map (uint8) with the
        values of ``DEMO_LABELS`` and 0 outside the brain.
    """
    head_centre_mm = random.uniform(-15, 15, size=3)
    deformation = random_deformation(random)
    shape, affine = random_grid(random, storage, head_centre_mm)
    share = np.zeros((4, *shape), dtype=np.float32)
    for offset in (np.arange(SUB_SLICES) + 0.5) / SUB_SLICES - 0.5:
        step = offset * affine[:3, storage.slice_axis]
        points_mm = _grid_points_mm(shape, affine) + (step - head_centre_mm)[:, None]
        template_mm = deformation(points_mm) + templates.centre_mm[:, None]
        share += _sample(templates, template_mm).reshape(4, *shape) / SUB_SLICES
    labels = _labels_from_shares(share[1:])
    image = _acquire(share[0], random)
    return Volume(image, affine, name), Volume(labels, affine, name)


def _labels_from_shares(share: NDArray[np.float32]) -> NDArray[np.uint8]:
    outside = 1 - share.sum(axis=0, keepdims=True)
    labels: NDArray[np.uint8] = np.concatenate([outside, share]).argmax(axis=0).astype(np.uint8)
    return labels


def _acquire(signal: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.uint16]:
    """Contrast, bias field and Rician noise on a signal in [0, 1]."""
    contrast = signal ** random.uniform(0.8, 1.3)
    seen = contrast * _bias_field(signal.shape, random)
    noise = random.standard_normal((2, *signal.shape), dtype=np.float32)
    noise *= random.uniform(0.01, 0.03)
    magnitude = np.hypot(seen + noise[0], noise[1])
    brightness = np.exp(random.uniform(np.log(200), np.log(12000)))
    return np.asarray(np.rint(magnitude * brightness), dtype=np.uint16)


def _bias_field(shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float32]:
    """Exponential of a quadratic polynomial, between about 0.8 and 1.2."""
    axes = np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij", sparse=True)
    logarithm = np.zeros(shape)
    for first in range(3):
        logarithm += random.uniform(-1, 1) * axes[first]
        for second in range(first, 3):
            logarithm += random.uniform(-1, 1) * axes[first] * axes[second]
    logarithm -= logarithm.mean()
    logarithm *= random.uniform(0.05, 0.2) / np.abs(logarithm).max()
    return np.exp(logarithm).astype(np.float32)


def _sample(templates: Templates, points_mm: FloatArray) -> NDArray[np.float32]:
    """The four maps at RAS+ positions, shapes (3, N) to (4, N); zero outside the template."""
    to_index = np.linalg.inv(templates.affine)
    index = to_index[:3, :3] @ points_mm + to_index[:3, 3:]
    return _interpolate(templates.maps, index, beyond="zeros")


def _interpolate(maps: FloatArray, index: FloatArray, beyond: str) -> NDArray[np.float32]:
    """Trilinear values of maps (C, X, Y, Z) at voxel indices (3, N), shape (C, N)."""
    last = np.array(maps.shape[1:])[:, None] - 1
    position = index / last * 2 - 1
    # grid_sample expects (x, y, z), with x along the last axis of the maps.
    grid = torch.from_numpy(position[::-1].T.astype(np.float32))[None, None, None]
    volume = torch.from_numpy(np.asarray(maps, dtype=np.float32))[None]
    values = functional.grid_sample(volume, grid, padding_mode=beyond, align_corners=True)
    return np.asarray(values[0, :, 0, 0].numpy())  # (1, C, 1, 1, N) to (C, N)


def _grid_points_mm(shape: tuple[int, int, int], affine: Affine) -> NDArray[np.float64]:
    index = np.indices(shape).reshape(3, -1)  # (3, N)
    return np.asarray(affine[:3, :3] @ index + affine[:3, 3:])


def _lipschitz_bound(nodes_mm: NDArray[np.float64], node_spacing_mm: float) -> float:
    steepest = [
        np.linalg.norm(np.diff(nodes_mm, axis=axis), axis=0).max() / node_spacing_mm
        for axis in (1, 2, 3)
    ]
    return float(np.linalg.norm(steepest))


def _rotation(random: np.random.Generator, largest_degrees: float) -> NDArray[np.float64]:
    angles = random.uniform(-largest_degrees, largest_degrees, size=3)
    return np.asarray(Rotation.from_euler("xyz", angles, degrees=True).as_matrix())
