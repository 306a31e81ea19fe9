"""Augmentation with simulated MRI artefacts: low resolution, ghosting and motion."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

from slicewise.config import AugmentationSection

Change = Callable[[torch.Tensor, int, float], torch.Tensor]
"""Changes a sample (C, H, W) along axis 1 or 2, by a random number in [0, 1)."""
_CENTRE = 0.1
"""Fraction of the central lines of k-space that is not changed: it determines the contrast."""
_GHOSTS = (2, 7)
"""Range of the number of ghosts; the end is exclusive."""


def artefacts(
    images: torch.Tensor, section: AugmentationSection, generator: torch.Generator
) -> torch.Tensor:
    """Simulate artefacts in random images of shape (N, C, H, W); labels are not affected.

    Ghosting and motion change k-space, the Fourier transform of the slice, along the phase-encoding
    axis.

    Source:
        Shaw et al.: MRI k-space motion artefact augmentation, MIDL 2019; Perez-Garcia et al.:
        TorchIO, Computer Methods and Programs in Biomedicine 208, 2021.
    """
    images = _low_resolution(images, section, generator)
    images = _ghosting(images, section, generator)
    return _motion(images, section, generator)


def _each(
    images: torch.Tensor, probability: float, generator: torch.Generator, change: Change
) -> torch.Tensor:
    """Change random samples, each along a random axis and by a random number in [0, 1)."""
    chosen = torch.nonzero(torch.rand(len(images), generator=generator) < probability)[:, 0]
    axes = torch.randint(1, 3, (len(chosen),), generator=generator).tolist()
    drawn = torch.rand(len(chosen), generator=generator).tolist()
    if len(chosen) == 0:
        return images
    images = images.clone()
    for number, axis, value in zip(chosen.tolist(), axes, drawn, strict=True):
        images[number] = change(images[number], axis, value)
    return images


def _low_resolution(
    images: torch.Tensor, section: AugmentationSection, generator: torch.Generator
) -> torch.Tensor:
    low, high = section.low_resolution_factor

    def thicken(image: torch.Tensor, axis: int, drawn: float) -> torch.Tensor:
        size = list(image.shape[1:])
        size[axis - 1] = max(2, round(size[axis - 1] / (low + (high - low) * drawn)))
        coarse = F.interpolate(image[None], size=size, mode="area")
        return F.interpolate(coarse, size=image.shape[1:], mode="bilinear", align_corners=False)[0]

    return _each(images, section.low_resolution_probability, generator, thicken)


def _ghosting(
    images: torch.Tensor, section: AugmentationSection, generator: torch.Generator
) -> torch.Tensor:
    def repeat(image: torch.Tensor, axis: int, drawn: float) -> torch.Tensor:
        ghosts = int(torch.randint(*_GHOSTS, (), generator=generator))
        lines = image.shape[axis]
        frequency = torch.fft.fftfreq(lines, 1 / lines)
        # Periodically attenuated lines of k-space produce shifted copies of the image.
        weaker = (frequency % ghosts == 0) & (frequency.abs() > _CENTRE * lines / 2)
        gain = 1 - section.ghosting_strength * drawn * weaker.float()
        return _with_lines(image, axis, gain.to(image.device))

    return _each(images, section.ghosting_probability, generator, repeat)


def _with_lines(image: torch.Tensor, axis: int, gain: torch.Tensor) -> torch.Tensor:
    """Image (C, H, W) with lines of k-space along an axis multiplied by a gain."""
    shape = [1, 1, 1]
    shape[axis] = -1
    spectrum = torch.fft.fft(image, dim=axis) * gain.reshape(shape)
    return torch.real(torch.fft.ifft(spectrum, dim=axis))


def _motion(
    images: torch.Tensor, section: AugmentationSection, generator: torch.Generator
) -> torch.Tensor:
    def move(image: torch.Tensor, axis: int, drawn: float) -> torch.Tensor:
        shift = (2 * torch.rand(2, generator=generator) - 1) * section.motion_pixels
        return _moved_once(image, axis, drawn, shift)

    return _each(images, section.motion_probability, generator, move)


def _moved_once(image: torch.Tensor, axis: int, moment: float, shift: torch.Tensor) -> torch.Tensor:
    """Image (C, H, W) with the lines of k-space after a moment acquired of a shifted object."""
    height, width = image.shape[1:]
    rows = torch.fft.fftfreq(height)[:, None]
    columns = torch.fft.fftfreq(width)[None]
    phase = torch.exp(-2j * math.pi * (rows * shift[0] + columns * shift[1])).to(image.device)
    spectrum = torch.fft.fft2(image)  # (C, H, W)
    along = torch.fft.fftfreq(image.shape[axis])  # from -0.5 to 0.5
    # Lines are acquired from one edge of k-space to the other; the centre is not shifted.
    late = along > _CENTRE / 2 + moment * (0.5 - _CENTRE / 2)
    late = (late[:, None] if axis == 1 else late[None]).to(image.device)
    return torch.real(torch.fft.ifft2(torch.where(late, spectrum * phase, spectrum)))
