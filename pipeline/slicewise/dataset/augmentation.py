"""Random augmentation of batches, with tensor operations for the whole batch."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from slicewise.config import AugmentationSection
from slicewise.dataset.artefacts import artefacts

BODY_AXES = ("left_right", "front_back", "up_down")
"""Names of the axes of a RAS volume."""
_CONTROL_POINTS = 5
"""Control points along each side of elastic deformations and bias fields."""


def augment(
    images: torch.Tensor,
    labels: torch.Tensor,
    section: AugmentationSection,
    generator: torch.Generator,
    coordinates: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Augment a batch at random.

    Args:
        images: (N, C, H, W) normalised intensities.
        labels: (N, H, W) classes.
        section: probabilities and strengths.
        generator: on the CPU; the only source of randomness.
        coordinates: number of last channels that are no intensities, and only take part in the
            spatial transform.

    Returns:
        Images and labels of the same shapes, with the same spatial transform; labels are
        interpolated by nearest neighbour.
    """
    images, labels = _spatial(images, labels, section, generator)
    images, places = images.tensor_split([images.shape[1] - coordinates], 1)
    images = _bias_field(images, section, generator)
    images = _intensity(images, section, generator)
    images = _gamma(images, section, generator)
    images = artefacts(images, section, generator)
    images = _noise(images, section, generator)
    return (torch.cat([images, places], 1) if coordinates else images), labels


def mirror(
    images: torch.Tensor,
    labels: torch.Tensor,
    axes: torch.Tensor,
    section: AugmentationSection,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mirror windows along each axis of ``mirror_axes`` with probability 0.5.

    Args:
        images: (N, 2k+1, C, H, W), slices with their context.
        labels: (N, H, W) classes.
        axes: (N,), axis of the RAS volume that is normal to each window.
        section: with ``mirror_axes``.
        generator: on the CPU.
    """
    images, labels = images.clone(), labels.clone()
    for name in section.mirror_axes:
        mirrored = BODY_AXES.index(name)
        halves = torch.rand(len(images), generator=generator) < 0.5
        for across in range(len(BODY_AXES)):
            chosen = torch.nonzero(halves & (axes == across))[:, 0]
            # The first of the other two axes of the volume is that of rows, the second of columns.
            place = [across, *(axis for axis in range(3) if axis != across)].index(mirrored)
            images[chosen] = images[chosen].flip((1, 3, 4)[place])
            if place > 0:
                labels[chosen] = labels[chosen].flip(place)
    return images, labels


def drop_contrast(
    images: torch.Tensor, section: AugmentationSection, generator: torch.Generator
) -> torch.Tensor:
    """Replace a random contrast of (N, 2k+1, C, H, W) by zeros; never the first."""
    contrasts = images.shape[2]
    chosen = _chosen(len(images), section.contrast_dropout_probability, generator)
    if contrasts == 1 or len(chosen) == 0:
        return images
    dropped = torch.randint(1, contrasts, (len(chosen),), generator=generator)
    images = images.clone()
    for number, contrast in zip(chosen.tolist(), dropped.tolist(), strict=True):
        images[number, :, contrast] = 0
    return images


def _chosen(count: int, probability: float, generator: torch.Generator) -> torch.Tensor:
    """Indices of random samples that an operation changes."""
    return torch.nonzero(torch.rand(count, generator=generator) < probability)[:, 0]


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _spatial(
    images: torch.Tensor,
    labels: torch.Tensor,
    section: AugmentationSection,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    count, _, height, width = images.shape
    moved = _chosen(count, section.affine_probability, generator)
    bent = _chosen(count, section.elastic_probability, generator)
    changed = torch.unique(torch.cat([moved, bent]))
    if len(changed) == 0:
        return images, labels
    matrices = torch.eye(2, 3).repeat(count, 1, 1)
    matrices[moved] = _affine_matrices(len(moved), height, width, section, generator)
    grid = F.affine_grid(matrices[changed], [len(changed), 1, height, width], align_corners=False)
    displacement = torch.zeros(count, 2, height, width)
    if len(bent):
        displacement[bent] = _displacements(len(bent), height, width, section, generator)
    grid = (grid + displacement[changed].movedim(1, -1)).to(images.device)  # (n, H, W, 2)
    images, labels = images.clone(), labels.clone()
    images[changed] = F.grid_sample(
        images[changed], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    classes = labels[changed][:, None].float()
    labels[changed] = F.grid_sample(
        classes, grid, mode="nearest", padding_mode="border", align_corners=False
    )[:, 0].long()
    return images, labels


def _affine_matrices(
    count: int, height: int, width: int, section: AugmentationSection, generator: torch.Generator
) -> torch.Tensor:
    """Rotation, scaling and translation in units of half a side, shape (count, 2, 3)."""
    limit = math.radians(section.rotation_degrees)
    angle = _uniform(count, -limit, limit, generator)
    low, high = (math.log(value) for value in section.scale_range)
    # The grid maps output to input: a larger image needs a smaller step.
    step = torch.exp(-_uniform(count, low, high, generator))
    shift = 2 * section.translation_fraction
    cosine, sine = step * angle.cos(), step * angle.sin()
    rows = [
        torch.stack([cosine, -sine * height / width, _uniform(count, -shift, shift, generator)], 1),
        torch.stack([sine * width / height, cosine, _uniform(count, -shift, shift, generator)], 1),
    ]
    return torch.stack(rows, 1)


def _displacements(
    count: int, height: int, width: int, section: AugmentationSection, generator: torch.Generator
) -> torch.Tensor:
    """Smooth displacement (count, 2, H, W), x before y, in units of half a side."""
    points = torch.randn(count, 2, _CONTROL_POINTS, _CONTROL_POINTS, generator=generator)
    units = torch.tensor([2 / width, 2 / height])[None, :, None, None]
    return _smooth(points * section.elastic_pixels * units, height, width)


def _smooth(points: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return F.interpolate(points, size=(height, width), mode="bicubic", align_corners=True)


def _bias_field(
    images: torch.Tensor, section: AugmentationSection, generator: torch.Generator
) -> torch.Tensor:
    count, _, height, width = images.shape
    chosen = _chosen(count, section.bias_field_probability, generator)
    if len(chosen) == 0:
        return images
    points = torch.randn(len(chosen), 1, _CONTROL_POINTS, _CONTROL_POINTS, generator=generator)
    field = _smooth(points * section.bias_field_strength, height, width).exp().to(images.device)
    changed = images[chosen]
    # A bias field multiplies the signal, which is not negative.
    floor = changed.amin((1, 2, 3), keepdim=True)
    images = images.clone()
    images[chosen] = (changed - floor) * field + floor
    return images


def _intensity(
    images: torch.Tensor, section: AugmentationSection, generator: torch.Generator
) -> torch.Tensor:
    count = len(images)
    chosen = _chosen(count, section.intensity_probability, generator)
    reach = section.intensity_range
    contrast, shift = torch.ones(count), torch.zeros(count)
    contrast[chosen] = _uniform(len(chosen), 1 - reach, 1 + reach, generator)
    shift[chosen] = _uniform(len(chosen), -reach, reach, generator)
    contrast, shift = (value[:, None, None, None].to(images.device) for value in (contrast, shift))
    return images * contrast + shift


def _gamma(
    images: torch.Tensor, section: AugmentationSection, generator: torch.Generator
) -> torch.Tensor:
    chosen = _chosen(len(images), section.gamma_probability, generator)
    if len(chosen) == 0:
        return images
    low, high = (math.log(value) for value in section.gamma_range)
    exponent = torch.exp(_uniform(len(chosen), low, high, generator))[:, None, None, None]
    changed = images[chosen]
    floor = changed.amin((1, 2, 3), keepdim=True)
    reach = (changed.amax((1, 2, 3), keepdim=True) - floor).clamp_min(1e-6)
    images = images.clone()
    images[chosen] = ((changed - floor) / reach) ** exponent.to(images.device) * reach + floor
    return images


def _noise(
    images: torch.Tensor, section: AugmentationSection, generator: torch.Generator
) -> torch.Tensor:
    chosen = _chosen(len(images), section.noise_probability, generator)
    if len(chosen) == 0:
        return images
    deviation = _uniform(len(chosen), 0, section.noise_deviation, generator)[:, None, None, None]
    noise = torch.randn(len(chosen), *images.shape[1:], generator=generator) * deviation
    images = images.clone()
    images[chosen] += noise.to(images.device)
    return images
