"""Augmentation of contrast, so that scans of contrasts that training never saw can be predicted.

Source:
    Billot et al.: SynthSeg, Medical Image Analysis 86:102789, 2023, for images drawn from label
    maps. Unlike there, the tissue without label is divided by the intensities of the real image.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from slicewise.config import AugmentationSection

CHANGED_FRACTION = 0.5
"""Probability that a window is drawn from its label map, and that a real one is remapped."""
_CONTROL_POINTS = 6
"""Of an intensity map."""
_TISSUES = 6
"""Most parts into which what has no label is divided."""
_MOST_DEVIATION = 0.4
"""Of the intensities within a class, in standard deviations of the window."""
_DARK_AIR_FRACTION = 0.5
"""Probability that the darkest tissue without label stays the darkest."""


def change_contrast(
    images: torch.Tensor,
    labels: torch.Tensor | None,
    section: AugmentationSection,
    generator: torch.Generator,
) -> torch.Tensor:
    """Give random windows another contrast; means and standard deviations are kept.

    Args:
        images: (N, 2k+1, C, H, W), slices with their context.
        labels: (N, 2k+1, H, W) classes, which ``synthetic`` needs.
        section: with ``contrast``.
        generator: on the CPU; the only source of randomness.
    """
    if section.contrast == "off":
        return images
    drawn, mapped = (torch.rand(len(images), generator=generator) for _ in range(2))
    is_drawn = drawn < (CHANGED_FRACTION if section.contrast == "synthetic" else 0.0)
    is_mapped = (mapped < CHANGED_FRACTION) & ~is_drawn
    images = images.clone()
    for chosen, change in ((is_drawn, _drawn), (is_mapped, _mapped)):
        places = torch.nonzero(chosen)[:, 0]
        if len(places) == 0:
            continue
        before = images[places]
        classes = torch.zeros_like(before[:, :, 0]) if labels is None else labels[places]
        images[places] = _as_bright(change(before, classes, generator), before)
    return images


def _as_bright(changed: torch.Tensor, original: torch.Tensor) -> torch.Tensor:
    """Restore mean and standard deviation of each contrast of each window."""
    axes = (1, 3, 4)
    centred = changed - changed.mean(axes, keepdim=True)
    deviation, wanted = (item.std(axes, correction=0, keepdim=True) for item in (centred, original))
    return centred / deviation.clamp_min(1e-6) * wanted + original.mean(axes, keepdim=True)


def _mapped(images: torch.Tensor, _: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Map intensities by random curves: rising, falling or neither, in equal parts.

    A curve is linear between control points, which divide the range of the window evenly.
    """
    count, contrasts = len(images), images.shape[2]
    points = torch.rand(count, contrasts, _CONTROL_POINTS, generator=generator)
    rising = points.cumsum(-1) / points.sum(-1, keepdim=True)
    kind = torch.randint(3, (count, contrasts, 1), generator=generator)
    curves = torch.where(kind == 0, rising, torch.where(kind == 1, 1 - rising, points))
    curves = curves.to(images.device)
    floor = images.amin((1, 3, 4), keepdim=True)
    reach = (images.amax((1, 3, 4), keepdim=True) - floor).clamp_min(1e-6)
    places = (images - floor) / reach * (_CONTROL_POINTS - 1)
    below = places.long().clamp_max(_CONTROL_POINTS - 2)
    return torch.lerp(_looked_up(curves, below), _looked_up(curves, below + 1), places - below)


def _drawn(images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw intensities for each class, normally distributed around a random mean.

    Voxels without label are divided at the intensities of random voxels, and each part is a class.
    Blurring at random makes voxels of several tissues at borders.
    """
    count, contrasts = len(images), images.shape[2]
    classes = _with_tissues(images[:, :, 0], labels, generator)
    number = int(classes.max()) + 1
    means = torch.rand(count, contrasts, number, generator=generator)
    dark = torch.rand(count, 1, generator=generator) < _DARK_AIR_FRACTION
    means[..., 0] = torch.where(dark, means.amin(-1), means[..., 0])
    deviations = _MOST_DEVIATION * torch.rand(count, contrasts, number, generator=generator)
    # A uniform distribution has a standard deviation of 1 / sqrt(12).
    deviations = (deviations / 12**0.5).to(images.device)
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    each = classes[:, :, None].expand_as(images)
    drawn = _looked_up(means.to(images.device), each) + noise * _looked_up(deviations, each)
    blurred = F.avg_pool2d(drawn.flatten(0, 1), 3, 1, 1, count_include_pad=False)
    share = torch.rand(count, 1, 1, 1, 1, generator=generator).to(images.device)
    return torch.lerp(drawn, blurred.view_as(drawn), share)


def _with_tissues(
    image: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Classes (N, D, H, W): tissues without label from dark to bright, then the labels."""
    smooth = F.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
    voxels = smooth.flatten(1)
    places = torch.randint(voxels.shape[1], (len(image), _TISSUES - 1), generator=generator)
    limits = voxels.gather(1, places.to(image.device))
    tissue = (smooth[..., None] > limits[:, None, None, None]).sum(-1)
    return torch.where(labels > 0, labels.long() + _TISSUES - 1, tissue)


def _looked_up(tables: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Values of tables (N, C, K) at indices (N, D, C, H, W)."""
    flat = indices.transpose(1, 2).flatten(2)  # (N, C, D * H * W)
    count, depth, contrasts, height, width = indices.shape
    found = tables.gather(2, flat).view(count, contrasts, depth, height, width)
    return found.transpose(1, 2)
