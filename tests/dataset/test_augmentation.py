"""Augmentation: nothing when switched off, image and label together when switched on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from slicewise.config import AugmentationSection
from slicewise.dataset.augmentation import augment, drop_contrast, mirror

OPERATIONS = (
    "affine",
    "elastic",
    "intensity",
    "noise",
    "gamma",
    "bias_field",
    "low_resolution",
    "ghosting",
    "motion",
)
SPATIAL = ("affine", "elastic")
OFF = {f"{operation}_probability": 0.0 for operation in OPERATIONS}


def only(*operations: str, **values: Any) -> AugmentationSection:
    on = {f"{operation}_probability": 1.0 for operation in operations}
    return AugmentationSection(**(OFF | on | values))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Eight windows of 24 x 40 with three classes; images hold the class in one channel."""
    labels = torch.zeros(8, 24, 40, dtype=torch.int64)
    labels[:, 6:13, 8:19] = 1
    labels[:, 12:19, 22:35] = 2
    noise = torch.randn(8, 2, 24, 40, generator=generator(99))
    return torch.cat([labels[:, None].float(), noise], 1), labels


Batch = tuple[torch.Tensor, torch.Tensor]


def test_all_probabilities_zero_change_nothing(batch: Batch) -> None:
    images, labels = augment(*batch, only(), generator())
    assert torch.equal(images, batch[0])
    assert torch.equal(labels, batch[1])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_changes_every_image(batch: Batch, operation: str) -> None:
    images, labels = augment(*batch, only(operation), generator())
    assert images.shape == batch[0].shape
    assert labels.shape == batch[1].shape
    assert torch.isfinite(images).all()
    for after, before in zip(images, batch[0], strict=True):
        assert not torch.allclose(after, before)
    moved = not torch.equal(labels, batch[1])
    assert moved == (operation in SPATIAL)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_windows_are_changed_independently(batch: Batch, operation: str) -> None:
    same = batch[0][:1].repeat(8, 1, 1, 1), batch[1][:1].repeat(8, 1, 1)
    images, _ = augment(*same, only(operation), generator())
    different = [not torch.allclose(images[0], image) for image in images[1:]]
    # Coarse pixels are whole ones, so that two draws may come to the same.
    assert any(different) if operation == "low_resolution" else all(different)


def test_input_is_left_as_it_was(batch: Batch) -> None:
    images, labels = batch[0].clone(), batch[1].clone()
    augment(images, labels, only(*OPERATIONS), generator())
    assert torch.equal(images, batch[0])
    assert torch.equal(labels, batch[1])


def test_the_generator_decides_everything(batch: Batch) -> None:
    section = AugmentationSection()
    first = augment(*batch, section, generator(5))
    torch.manual_seed(1)
    again = augment(*batch, section, generator(5))
    other = augment(*batch, section, generator(6))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_probability_is_the_share_of_changed_windows() -> None:
    images = torch.randn(400, 1, 6, 6, generator=generator(1))
    labels = torch.zeros(400, 6, 6, dtype=torch.int64)
    changed, _ = augment(images, labels, only(noise_probability=0.25), generator())
    share = (changed != images).flatten(1).any(1).float().mean()
    assert 0.18 < share < 0.32


@pytest.mark.parametrize("operation", SPATIAL)
def test_labels_move_with_the_image(batch: Batch, operation: str) -> None:
    images, labels = augment(*batch, only(operation), generator())
    assert labels.dtype == torch.int64
    assert set(labels.unique().tolist()) == {0, 1, 2}
    # The first channel holds the class; interpolation blurs it along borders only.
    inside = (images[:, 0] - images[:, 0].round()).abs() < 1e-4
    assert inside.float().mean() > 0.7
    agree = images[:, 0].round().long() == labels
    assert agree[inside].float().mean() > 0.99


def test_a_turned_square_agrees_with_its_label() -> None:
    labels = torch.zeros(16, 30, 50, dtype=torch.int64)
    labels[:, 8:20, 14:26] = 1
    images = labels[:, None].float()
    turned, moved = augment(images, labels, only("affine", rotation_degrees=45), generator())
    disagreement = ((turned[:, 0] > 0.5) != moved.bool()).float().flatten(1).sum(1)
    # At most some pixels along a border of about 48.
    assert disagreement.max() <= 12
    assert (moved != labels).flatten(1).any(1).all()


def rigid(**values: Any) -> AugmentationSection:
    still = {"rotation_degrees": 0, "scale_range": (1, 1), "translation_fraction": 0}
    return only("affine", **(still | values))


def test_rotation_keeps_the_shape_in_a_window_that_is_no_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Turned by a right angle, an off-centre rectangle is the one that numpy turns."""

    def largest(count: int, low: float, high: float, random: torch.Generator) -> torch.Tensor:
        del low, random
        return torch.full((count,), float(high))

    monkeypatch.setattr("slicewise.dataset.augmentation._uniform", largest)
    labels = torch.zeros(1, 20, 36, dtype=torch.int64)
    labels[0, 3:9, 12:16] = 1
    labels[0, 9:11, 20:23] = 2
    _, turned = augment(labels[:, None].float(), labels, rigid(rotation_degrees=90), generator())
    # About the centre of the window; what a square around it holds stays inside.
    square = np.zeros((36, 36), dtype=np.int64)
    square[8:28] = labels[0]
    quarter = {turns: np.rot90(square, turns)[8:28] for turns in (1, 3)}
    found = turned[0].numpy()
    assert any(np.array_equal(found, expected) for expected in quarter.values())
    assert (found == 1).sum() == 24


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_scale_is_a_magnification_in_both_directions(factor: float) -> None:
    labels = torch.zeros(1, 32, 48, dtype=torch.int64)
    labels[0, 12:20, 16:32] = 1
    section = rigid(scale_range=(factor, factor))
    _, scaled = augment(labels[:, None].float(), labels, section, generator())
    rows, columns = np.nonzero(scaled[0].numpy())
    height, width = int(8 * factor), int(16 * factor)
    assert np.ptp(rows) + 1 == height
    assert np.ptp(columns) + 1 == width
    assert len(rows) == height * width


def test_translation_stays_within_its_share_of_the_window() -> None:
    labels = torch.zeros(64, 40, 60, dtype=torch.int64)
    labels[:, 20, 30] = 1
    section = rigid(translation_fraction=0.1)
    _, moved = augment(labels[:, None].float(), labels, section, generator())
    _, rows, columns = torch.nonzero(moved, as_tuple=True)
    assert len(rows) == 64
    assert int((rows - 20).abs().max()) in (3, 4)
    assert int((columns - 30).abs().max()) in (5, 6)


def test_elastic_deformation_is_measured_in_pixels() -> None:
    """A ramp of columns tells how far each pixel came, whatever the shape of the window."""
    ramp = torch.arange(64.0).repeat(200, 1, 20, 1)
    labels = torch.zeros(200, 20, 64, dtype=torch.int64)
    images, _ = augment(ramp, labels, only("elastic", elastic_pixels=1.5), generator())
    # At the middle lies a control point: its deviation is the one of the config.
    middle = (images - ramp)[:, 0, 10, 32]
    assert 1.2 < float(middle.std()) < 1.8


def test_intensities_stay_in_bounds(batch: Batch) -> None:
    images, _ = augment(*batch, only("gamma"), generator())
    for after, before in zip(images, batch[0], strict=True):
        torch.testing.assert_close(after.amin(), before.amin())
        torch.testing.assert_close(after.amax(), before.amax())
    contrasted, _ = augment(*batch, only("intensity", intensity_range=0.1), generator())
    difference = (contrasted - batch[0]).abs()
    assert bool((difference <= 0.1 * batch[0].abs() + 0.1 + 1e-5).all())


def test_a_flat_window_stays_finite() -> None:
    images = torch.full((4, 3, 16, 16), 2.5)
    labels = torch.zeros(4, 16, 16, dtype=torch.int64)
    changed, _ = augment(images, labels, only(*OPERATIONS), generator())
    assert torch.isfinite(changed).all()


@pytest.mark.parametrize(
    ("axes", "across", "image_flip", "label_flip"),
    [
        # Of a window across an axis, the first of the other two runs down, the second to the right.
        (("left_right",), 0, (0,), ()),
        (("left_right",), 1, (2,), (0,)),
        (("left_right",), 2, (2,), (0,)),
        (("front_back",), 0, (2,), (0,)),
        (("front_back",), 1, (0,), ()),
        (("front_back",), 2, (3,), (1,)),
        (("up_down",), 0, (3,), (1,)),
        (("up_down",), 1, (3,), (1,)),
        (("up_down",), 2, (0,), ()),
    ],
)
def test_half_of_the_windows_are_mirrored_along_an_axis_of_the_body(
    axes: tuple[str, ...], across: int, image_flip: tuple[int, ...], label_flip: tuple[int, ...]
) -> None:
    images = torch.randn(64, 3, 2, 5, 7, generator=generator(4))  # (N, 2k+1, C, H, W)
    labels = torch.randint(0, 3, (64, 5, 7), generator=generator(5))
    lies_across = torch.full((64,), across)
    section = only(mirror_axes=axes)
    found, found_labels = mirror(images, labels, lies_across, section, generator())
    mirrored = 0
    for number in range(64):
        same = torch.equal(found[number], images[number])
        assert same or torch.equal(found[number], images[number].flip(image_flip))
        expected = labels[number] if same or not label_flip else labels[number].flip(label_flip)
        assert torch.equal(found_labels[number], expected)
        mirrored += not same
    assert 16 < mirrored < 48


def test_without_axes_nothing_is_mirrored() -> None:
    images, labels = torch.randn(4, 3, 1, 5, 7), torch.ones(4, 5, 7, dtype=torch.int64)
    found, _ = mirror(images, labels, torch.zeros(4, dtype=torch.int64), only(), generator())
    assert torch.equal(found, images)


def test_a_dropped_contrast_is_zero_in_all_slices_and_never_the_first() -> None:
    images = torch.rand(40, 3, 3, 4, 4, generator=generator(1)) + 1
    found = drop_contrast(images, only("contrast_dropout"), generator())
    gone = (found == 0).all(dim=(1, 3, 4))  # (N, C)
    assert not gone[:, 0].any()
    assert (gone.sum(1) == 1).all()
    assert gone[:, 1].any()
    assert gone[:, 2].any()
    kept = ~gone[:, None, :, None, None].expand_as(images)
    assert torch.equal(found[kept], images[kept])
    assert torch.equal(
        drop_contrast(images[:, :, :1], only("contrast_dropout"), generator()), images[:, :, :1]
    )


def test_a_lower_resolution_averages_pixels_along_one_axis() -> None:
    image = torch.zeros(1, 1, 8, 6)
    image[0, 0, 2:4] = 1  # a bright bar of two rows, one coarse row
    image[0, 0, :, 3] += 10
    found = {
        axis: augment(image, torch.zeros(1, 8, 6).long(), section, generator(seed))[0]
        for seed, axis in _seeds_of_axes(image)
        for section in [only("low_resolution", low_resolution_factor=(2, 2))]
    }
    # Rows 2 and 3 make one coarse row of 1; between the centres of coarse rows lies a line.
    expected = torch.tensor([0, 0.25, 0.75, 0.75, 0.25, 0, 0, 0])
    torch.testing.assert_close(found["rows"][0, 0, :, 0], expected, atol=0.26, rtol=0)
    assert found["rows"][0, 0, :, 3].min() >= 10
    assert found["columns"][0, 0, 7, 3] < 10


def _seeds_of_axes(image: torch.Tensor) -> list[tuple[int, str]]:
    """A seed under which rows are thickened, and one under which columns are."""
    section = only("low_resolution", low_resolution_factor=(2, 2))
    labels = torch.zeros(1, *image.shape[2:]).long()
    axes: dict[str, int] = {}
    for seed in range(12):
        found = augment(image, labels, section, generator(seed))[0]
        # Where only rows are mixed, the bright column keeps its place.
        axes.setdefault("rows" if found[0, 0, 0, 3] >= 10 else "columns", seed)
    return [(seed, axis) for axis, seed in axes.items()]


def test_ghosts_and_motion_keep_the_mean() -> None:
    image = torch.randn(6, 1, 32, 24, generator=generator(3))
    labels = torch.zeros(6, 32, 24).long()
    for operation in ("ghosting", "motion"):
        found, _ = augment(image, labels, only(operation), generator())
        # The mean is the middle of k-space, which neither touches.
        torch.testing.assert_close(found.mean((2, 3)), image.mean((2, 3)), atol=1e-5, rtol=0)


def test_a_motion_after_the_last_line_changes_little() -> None:
    image = torch.randn(4, 1, 32, 24, generator=generator(3))
    labels = torch.zeros(4, 32, 24).long()
    still, _ = augment(image, labels, only("motion", motion_pixels=0), generator())
    torch.testing.assert_close(still, image, atol=1e-5, rtol=0)
