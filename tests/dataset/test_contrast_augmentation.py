"""Augmentation of contrast: shapes stay where they are, intensities do not."""

from __future__ import annotations

import pytest
import torch

from slicewise.config import AugmentationSection
from slicewise.dataset.contrast_augmentation import CHANGED_FRACTION, change_contrast

WINDOWS, DEPTH, CONTRASTS, SIDE = 60, 3, 2, 24
KINDS = ("robust", "synthetic")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def section(contrast: str) -> AugmentationSection:
    return AugmentationSection.model_validate({"contrast": contrast})


@pytest.fixture
def windows() -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 2k+1, C, H, W) with air, two tissues and a structure, and classes (N, 2k+1, H, W).

    The structure moves from slice to slice.
    """
    images = torch.full((WINDOWS, DEPTH, CONTRASTS, SIDE, SIDE), -1.0)
    images[..., 4:20, 4:20] = 0.3
    images[..., 4:20, 12:20] = 0.9
    labels = torch.zeros(WINDOWS, DEPTH, SIDE, SIDE, dtype=torch.uint8)
    for depth in range(DEPTH):
        labels[:, depth, 8:14, 6 + depth : 10 + depth] = 1
    images = torch.where((labels == 1)[:, :, None], torch.tensor(0.6), images)
    return images, labels


Windows = tuple[torch.Tensor, torch.Tensor]


def changed(images: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    return (images != before).flatten(1).any(1)


def test_off_changes_nothing_and_draws_nothing(windows: Windows) -> None:
    used = generator()
    assert change_contrast(windows[0], None, section("off"), used) is windows[0]
    assert torch.equal(used.get_state(), generator().get_state())


@pytest.mark.parametrize(
    ("contrast", "fraction"),
    [("robust", CHANGED_FRACTION), ("synthetic", 1 - (1 - CHANGED_FRACTION) ** 2)],
)
def test_that_fraction_of_windows_is_changed(
    windows: Windows, contrast: str, fraction: float
) -> None:
    images = change_contrast(*windows, section(contrast), generator())
    # Four standard deviations of a binomial distribution.
    assert abs(changed(images, windows[0]).float().mean() - fraction) < 2 / WINDOWS**0.5


@pytest.mark.parametrize("contrast", KINDS)
def test_mean_and_deviation_of_each_contrast_are_kept(windows: Windows, contrast: str) -> None:
    images, before = change_contrast(*windows, section(contrast), generator()), windows[0]
    for of in (torch.mean, torch.std):
        assert torch.allclose(of(images, (1, 3, 4)), of(before, (1, 3, 4)), atol=1e-3)


@pytest.mark.parametrize("contrast", KINDS)
def test_the_generator_decides_alone(windows: Windows, contrast: str) -> None:
    images, again, other = (
        change_contrast(*windows, section(contrast), generator(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(images, again)
    assert not torch.equal(images, other)


def test_maps_keep_equal_intensities_equal_and_change_their_order(windows: Windows) -> None:
    before = windows[0]
    images = change_contrast(before, None, section("robust"), generator())
    orders = set()
    for window in torch.nonzero(changed(images, before))[:, 0].tolist():
        values = [images[window, :, 0][before[window, :, 0] == v] for v in (-1.0, 0.3, 0.6, 0.9)]
        assert all(torch.allclose(item, item[0], atol=1e-5) for item in values)
        orders.add(tuple(torch.stack([item[0] for item in values]).argsort().tolist()))
    assert {(0, 1, 2, 3), (3, 2, 1, 0)} < orders


def test_contrasts_of_a_window_change_independently(windows: Windows) -> None:
    images = change_contrast(windows[0], None, section("robust"), generator())
    window = torch.nonzero(changed(images, windows[0]))[0, 0]
    assert not torch.equal(images[window, :, 0], images[window, :, 1])


def test_drawn_structures_lie_where_the_labels_of_each_slice_say() -> None:
    # Invisible in the image, so that only the label can tell where it is.
    images = torch.randn(WINDOWS, DEPTH, 1, SIDE, SIDE, generator=generator(5))
    labels = torch.zeros(WINDOWS, DEPTH, SIDE, SIDE, dtype=torch.uint8)
    for depth in range(DEPTH):
        labels[:, depth, :, 4 * depth : 4 * depth + 8] = 1
    drawn = change_contrast(images, labels, section("synthetic"), generator())[:, :, 0]
    real = change_contrast(images, labels, section("robust"), generator())[:, :, 0]

    def separation(found: torch.Tensor) -> float:
        pairs = list(zip(found, labels, strict=True))
        inside, outside = (
            torch.stack([image[label == value].mean() for image, label in pairs])
            for value in (1, 0)
        )
        return float((inside - outside).abs().mean())

    assert separation(drawn) > 0.2
    assert separation(real) < 0.05


def test_air_is_the_darkest_in_more_than_half_of_the_drawn_windows(windows: Windows) -> None:
    images = change_contrast(*windows, section("synthetic"), generator())[:, :, 0]
    air = images[:, :, :3, :3].mean((1, 2, 3))
    darkest = (air[:, None] <= images.flatten(1).quantile(0.3, 1, keepdim=True) + 0.2).float()
    assert darkest.mean() > 0.5
