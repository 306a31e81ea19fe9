"""Windows: the same for the same seed and step, inside the slices, with their true neighbours."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.linear_time import linear_time

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.sampling import (
    WindowSampler,
    context_indices,
    padding_of,
    seen_along,
    window_span,
)


def cached(
    folder: Path, name: str, shape: tuple[int, int, int, int], labelled: dict[int, int]
) -> CachedCase:
    """A case of (D, C, H, W) whose every value tells where it is.

    ``labelled`` says how many voxels of each class are drawn at places of their own.
    """
    depth, _, height, width = shape
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    label = np.zeros((depth, height, width), dtype=np.uint8)
    random = np.random.default_rng(len(name))
    places = random.permutation(label.size)
    rows = []
    for number, count in labelled.items():
        for place in places[:count]:
            where = np.unravel_index(place, label.shape)
            label[where] = number
            rows.append([number, *where])
        places = places[count:]
    (folder / name).mkdir()
    np.save(folder / name / "image.npy", image)
    np.save(folder / name / "label.npy", label)
    np.save(folder / name / "points.npy", np.array(rows, dtype=np.int32).reshape(-1, 4))
    return CachedCase(name, name, name, folder / name)


@pytest.fixture
def cases(tmp_path: Path) -> list[CachedCase]:
    return [
        cached(tmp_path, "a", (5, 2, 12, 17), {1: 4}),
        cached(tmp_path, "bb", (3, 2, 6, 9), {1: 2, 2: 1}),
        cached(tmp_path, "ccc", (7, 2, 9, 5), {}),
    ]


def sampler(
    cases: list[CachedCase],
    window: tuple[int, int] = (8, 7),
    foreground_fraction: float = 0.5,
    seed: int = 3,
    plane: str = "thickest",
    contrast: str = "off",
) -> WindowSampler:
    config = Config.model_validate(
        {
            "name": "toy",
            "seed": seed,
            "data": {},
            "preprocessing": {"plane": plane},
            "augmentation": {"contrast": contrast},
            # The window is smaller than any network would take.
            "network": {"features": (4,), "context_slices": 1},
            "training": {"steps": 1, "foreground_fraction": foreground_fraction},
        }
    )
    network = config.network.model_copy(update={"window": window})
    return WindowSampler(cases, config.model_copy(update={"network": network}))


def slow_window(
    case: CachedCase, depth: int, row: int, column: int, window: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The window whose first pixel is at (row, column), pixel by pixel; edges are repeated."""
    slices, contrasts, height, width = case.image.shape
    image = np.zeros((3 * contrasts, *window), dtype=np.float32)
    label = np.zeros(window, dtype=np.uint8)
    for r in range(window[0]):
        for c in range(window[1]):
            y, x = min(max(row + r, 0), height - 1), min(max(column + c, 0), width - 1)
            label[r, c] = case.label[depth, y, x]
            for offset in range(3):
                z = min(max(depth + offset - 1, 0), slices - 1)
                for contrast in range(contrasts):
                    image[offset * contrasts + contrast, r, c] = case.image[z, contrast, y, x]
    return image, label


def test_a_batch_depends_on_seed_and_step_alone(cases: list[CachedCase]) -> None:
    one, other = sampler(cases), sampler(cases)
    other.batch(9, 4)
    for step in (0, 5):
        assert torch.equal(one.batch(step, 6).images, other.batch(step, 6).images)
        assert torch.equal(one.batch(step, 6).labels, other.batch(step, 6).labels)
        assert one.batch(step, 6).cases == other.batch(step, 6).cases
    first = one.batch(0, 6).images
    assert not torch.equal(first, one.batch(1, 6).images)
    assert not torch.equal(first, sampler(cases, seed=4).batch(0, 6).images)


def test_shapes_and_types(cases: list[CachedCase]) -> None:
    batch = sampler(cases).batch(0, 6)
    assert batch.images.shape == (6, 6, 8, 7)
    assert batch.images.dtype == torch.float32
    assert batch.labels.shape == (6, 8, 7)
    assert batch.labels.dtype == torch.int64
    assert len(batch.cases) == 6


def test_labels_of_the_context_are_there_where_images_are_drawn_from_them(
    cases: list[CachedCase],
) -> None:
    plain, other = (
        sampler(cases, plane="all", contrast=contrast).batch(0, 30)
        for contrast in ("robust", "synthetic")
    )
    assert plain.context_labels is None
    assert other.context_labels is not None
    assert other.context_labels.shape == (30, 3, 8, 7)
    assert torch.equal(other.context_labels[:, 1].long(), plain.labels)
    assert torch.equal(other.labels, plain.labels)
    assert torch.equal(other.images, plain.images)
    assert not torch.equal(other.context_labels[:, 0], other.context_labels[:, 2])


def test_shares_are_those_of_the_windows_that_are_drawn(cases: list[CachedCase]) -> None:
    drawn = sampler(cases)
    labels = torch.cat([drawn.batch(step, 6).labels for step in range(8)])
    counts = torch.stack([(labels == number).sum() + 1 for number in range(4)])
    assert counts.min() == 1  # no case has the last class, and it stays possible
    assert torch.allclose(drawn.class_priors(6, 4), counts / counts.sum())


def test_windows_are_cut_where_they_say(cases: list[CachedCase]) -> None:
    """Every window of some batches equals one cut pixel by pixel."""
    by_name = {case.name: case for case in cases}
    window = (8, 7)
    seen = set()
    for step in range(6):
        batch = sampler(cases, window).batch(step, 6)
        for image, label, name in zip(batch.images, batch.labels, batch.cases, strict=True):
            case = by_name[name]
            slices, contrasts, height, width = case.image.shape
            above, left = (max(window[0] - height, 0) // 2, max(window[1] - width, 0) // 2)
            # The first pixel of the slice itself tells which slice and place this is.
            value = int(image[contrasts, above, left])
            depth, _, row, column = np.unravel_index(value, case.image.shape)
            assert 0 <= depth < slices
            assert row <= max(height - window[0], 0)
            assert column <= max(width - window[1], 0)
            expected = slow_window(case, depth, row - above, column - left, window)
            np.testing.assert_array_equal(image, expected[0])
            np.testing.assert_array_equal(label, expected[1])
            seen.add(name)
    assert seen == set(by_name)


@pytest.mark.parametrize(("fraction", "centred"), [(0.0, 0), (0.5, 4), (1.0, 8)])
def test_share_of_windows_with_a_labelled_voxel(
    tmp_path: Path, fraction: float, centred: int
) -> None:
    # One labelled pixel in 64 x 64: chance does not meet it.
    case = cached(tmp_path, "rare", (4, 1, 64, 64), {1: 1})
    batch = sampler([case], (5, 5), fraction).batch(0, 8)
    assert int((batch.labels > 0).flatten(1).any(1).sum()) == centred


def test_centre_of_a_window_is_the_labelled_voxel(tmp_path: Path) -> None:
    case = cached(tmp_path, "x", (3, 1, 40, 40), {})
    np.save(case.folder / "points.npy", np.array([[1, 2, 20, 31]], dtype=np.int32))
    batch = sampler([case], (5, 7), 1.0).batch(0, 1)
    assert batch.images[0, 1, 2, 3] == case.image[2, 0, 20, 31]


def test_slices_smaller_than_the_window_are_padded_with_their_edge(tmp_path: Path) -> None:
    case = cached(tmp_path, "x", (1, 1, 2, 3), {1: 6})
    batch = sampler([case], (5, 4), 0.0).batch(0, 1)
    assert bool((batch.labels == 1).all())
    expected = np.pad(case.image[0, 0], [(1, 2), (0, 1)], mode="edge")
    for channel in batch.images[0]:
        np.testing.assert_array_equal(channel, expected)


def test_classes_are_drawn_evenly(tmp_path: Path) -> None:
    case = cached(tmp_path, "x", (6, 1, 50, 50), {1: 400, 2: 2})
    labels = sampler([case], (1, 1), 1.0).batch(0, 400).labels
    assert 150 < int((labels == 2).sum()) < 250


def test_every_slice_is_drawn_evenly(cases: list[CachedCase]) -> None:
    assert sampler(cases).slice_count == 15
    drawn = sampler(cases, foreground_fraction=0.0).batch(0, 1500).cases
    for case, slices in zip(cases, (5, 3, 7), strict=True):
        assert drawn.count(case.name) == pytest.approx(100 * slices, rel=0.25)


def test_no_label_anywhere(tmp_path: Path) -> None:
    case = cached(tmp_path, "empty", (3, 1, 9, 9), {})
    batch = sampler([case], (4, 4), 1.0).batch(0, 3)
    assert batch.images.shape == (3, 3, 4, 4)
    assert int(batch.labels.sum()) == 0


@given(size=st.integers(1, 40), window=st.integers(1, 40), data=st.data())
def test_span_lies_inside_and_holds_its_middle(size: int, window: int, data: st.DataObject) -> None:
    middle = data.draw(st.integers(0, size - 1))
    start, stop = window_span(size, window, middle)
    assert 0 <= start <= middle < stop <= size
    assert stop - start == min(size, window)
    before, after = padding_of(size, window)
    assert before + stop - start + after == window
    assert 0 <= after - before <= 1


@pytest.mark.parametrize(
    ("middle", "span"), [(0, (0, 4)), (1, (0, 4)), (5, (3, 7)), (9, (6, 10)), (8, (6, 10))]
)
def test_windows_at_the_borders_are_moved_inside(middle: int, span: tuple[int, int]) -> None:
    assert window_span(10, 4, middle) == span


def test_edge_slices_are_repeated() -> None:
    assert context_indices(0, 4, 2).tolist() == [0, 0, 0, 1, 2]
    assert context_indices(3, 4, 1).tolist() == [2, 3, 3]
    assert context_indices(0, 1, 1).tolist() == [0, 0, 0]
    assert context_indices(2, 4, 0).tolist() == [2]


def test_slices_along_another_axis_hold_the_same_voxels() -> None:
    stack = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)  # (D, C, H, W)
    for d, c, h, w in np.ndindex(stack.shape):
        value = stack[d, c, h, w]
        assert seen_along(stack, 0)[d, c, h, w] == value
        assert seen_along(stack, 1)[h, c, d, w] == value
        assert seen_along(stack, 2)[w, c, d, h] == value


def test_all_planes_are_drawn_with_their_own_neighbours(tmp_path: Path) -> None:
    case = cached(tmp_path, "a", (5, 2, 12, 17), {1: 4})
    drawn = sampler([case], (20, 20), 0.5, plane="all").batch(0, 120)
    assert set(drawn.views.tolist()) == {0, 1, 2}
    for image, label, view in zip(drawn.images, drawn.labels, drawn.views.tolist(), strict=True):
        stack = seen_along(case.image, view)  # (D, 2, H, W)
        depth, _, height, width = stack.shape
        top, left = (20 - height) // 2, (20 - width) // 2
        inside = image[:, top : top + height, left : left + width].numpy()
        # The middle slice tells which one it is, for every value is there once.
        found = next(d for d in range(depth) if np.array_equal(stack[d], inside[2:4]))
        before, after = max(found - 1, 0), min(found + 1, depth - 1)
        np.testing.assert_array_equal(inside[:2], stack[before])
        np.testing.assert_array_equal(inside[4:], stack[after])
        expected = np.moveaxis(case.label, view, 0)[found]
        np.testing.assert_array_equal(
            label[top : top + height, left : left + width].numpy(), expected
        )


def test_windows_of_all_planes_are_centred_on_their_structure(tmp_path: Path) -> None:
    case = cached(tmp_path, "a", (9, 1, 12, 17), {1: 3})
    drawn = sampler([case], (5, 5), 1.0, plane="all").batch(0, 60)
    assert (drawn.labels == 1).any((1, 2)).all()


def test_an_epoch_of_all_planes_counts_the_slices_of_each(tmp_path: Path) -> None:
    case = cached(tmp_path, "a", (5, 2, 12, 17), {})
    assert sampler([case], plane="all").slice_count == 5 + 12 + 17


def test_fifty_thousand_cases_take_a_moment_and_little_memory() -> None:
    points = np.array([[1, 0, 0, 0], [2, 1, 1, 1]])
    case: Any = SimpleNamespace(label=np.zeros((50, 60, 70), np.uint8), points=points)
    with linear_time():
        sampled = sampler([case] * 50_000, plane="all")
    assert sampled.slice_count == 50_000 * 180
    assert len(pickle.dumps(vars(sampled) | {"cases": ()})) < 100 * 50_000
