"""The steps of a recipe: classes, thresholds and shapes, against hand and other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from slicewise.evaluation.baseline.intensity import Grouping, bounds, classes_of, groupings
from slicewise.evaluation.baseline.morphology import MORPHOLOGIES, Morphology, all_morphed, morphed
from slicewise.evaluation.baseline.prior import ALIGNMENTS, Alignment, Prior
from slicewise.evaluation.baseline.recipe import Recipe, Threshold
from slicewise.evaluation.baseline.scans import NormalizedScan
from slicewise.evaluation.baseline.tables import settings, tabulate
from slicewise.evaluation.baseline.template_matching import FITS, Template

SHAPE = (13, 11, 7)
PLAIN = Alignment(FITS[0], is_matched=False)


def scan_of(*contrasts: NDArray[np.floating]) -> NormalizedScan:
    return NormalizedScan(np.stack(contrasts).astype(np.float32), (1.0, 1.2, 3.0), 2)


def grey(seed: int = 0) -> NDArray[np.float64]:
    """Four mixed intensities."""
    random = np.random.default_rng(seed)
    return random.choice([-2.0, -0.4, 0.9, 3.1], SHAPE) + random.normal(0, 0.2, SHAPE)


def flat_prior() -> NDArray[np.float32]:
    return np.full((1, *SHAPE), 0.5, dtype=np.float32)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_classes_are_those_of_k_means(count: int) -> None:
    voxels = grey()
    ours = classes_of(scan_of(voxels), Grouping(count, None, "scan"), flat_prior())
    # Both begin with equal shares from dark to bright.
    shares = np.array_split(np.sort(voxels.ravel()), count)
    start = np.array([[share.mean()] for share in shares])
    theirs = KMeans(count, init=start, n_init=1).fit(voxels.reshape(-1, 1))
    order = theirs.cluster_centers_[:, 0].argsort().argsort()
    agreement = (ours.ravel() == order[theirs.labels_]).mean()
    assert agreement > 0.99


def test_classes_near_the_structures_do_not_see_the_rest() -> None:
    voxels = np.zeros(SHAPE)
    voxels[6:] = 1000  # far away
    voxels[:6, :5], voxels[:6, 5:] = 1, 2
    prior = np.zeros((1, *SHAPE), dtype=np.float32)
    prior[0, :6] = 0.3
    near = classes_of(scan_of(voxels), Grouping(2, None, "near"), prior)
    np.testing.assert_array_equal(near[:6], voxels[:6] == 2)
    whole = classes_of(scan_of(voxels), Grouping(2, None, "scan"), prior)
    np.testing.assert_array_equal(whole, voxels == 1000)


def test_all_contrasts_tell_apart_what_one_does_not() -> None:
    first, second = np.zeros(SHAPE), np.zeros(SHAPE)
    first[6:], second[:, 5:] = 1, 1
    alone = classes_of(scan_of(first, second), Grouping(2, 1, "scan"), flat_prior())
    np.testing.assert_array_equal(alone, second == 1)
    together = classes_of(
        scan_of(first, second + 0.1 * first), Grouping(4, None, "scan"), flat_prior()
    )
    assert (
        len({(a, b, c) for a, b, c in zip(together.flat, first.flat, second.flat, strict=True)})
        == 4
    )


def test_fixed_classes_are_steps_of_the_normalised_intensity() -> None:
    grouping = groupings(1)[-1]
    voxels = np.zeros(SHAPE)
    voxels[0, 0, :5] = (-9, -2.4, 0.1, 0.3, 9)
    classes = classes_of(scan_of(voxels), grouping, flat_prior())
    for place, (start, end) in enumerate(((-np.inf, -2.5), (-2.5, -2.25), (0, 0.25), (0.25, 0.5))):
        number = int(classes[0, 0, place])
        assert bounds(grouping, number, number) == pytest.approx((start, end))
    assert classes[0, 0, 4] == grouping.count - 1
    assert bounds(grouping, 0, grouping.count - 1) == (-np.inf, np.inf)


def test_a_flat_scan_is_one_class() -> None:
    classes = classes_of(scan_of(np.full(SHAPE, 3.0)), Grouping(3, None, "scan"), flat_prior())
    assert not classes.any()


def test_threshold_takes_what_fits_and_what_is_sure() -> None:
    voxels = np.zeros(SHAPE)
    voxels[:, 5:] = 1
    prior = np.zeros((2, *SHAPE), dtype=np.float32)
    prior[1, :4], prior[1, 4:8] = 0.9, 0.3
    threshold = Threshold(PLAIN, Grouping(2, None, "scan"), 1, 1, 0.2, 0.8)
    mask = threshold.mask(scan_of(voxels), prior, 1)
    expected = np.zeros(SHAPE, dtype=bool)
    expected[:4] = True
    expected[4:8, 5:] = True
    np.testing.assert_array_equal(mask, expected)


def test_tables_hold_the_dice_of_the_masks() -> None:
    """What is counted is what a recipe then makes, for every setting and many thresholds."""
    random = np.random.default_rng(3)
    scan = scan_of(grey(), grey(1))
    means = random.uniform(size=(4, 6, 5, 4)).astype(np.float32)
    prior = Prior(
        (Template((6, 5, 4), (2.0, 2.5, 5.0)),) * len(FITS), (means,) * len(ALIGNMENTS), 2
    )
    truth = random.uniform(size=(2, *SHAPE)) < 0.3
    checked = 0
    for setting, table in zip(settings(2), tabulate(scan, truth, prior), strict=True):
        frequencies = prior.on(scan, setting.alignment)
        for place in random.choice(np.flatnonzero(~np.isnan(table[0])), 6):
            threshold = setting.threshold(int(place))
            for number in range(2):
                mask = threshold.mask(scan, frequencies, number)
                dice = 2 * (mask & truth[number]).sum() / (mask.sum() + truth[number].sum())
                assert table[number, place] == pytest.approx(dice, abs=1e-6), threshold
                checked += 1
    assert checked == 2 * 6 * len(settings(2))


def blob() -> NDArray[np.bool_]:
    mask = np.zeros((20, 18, 6), dtype=bool)
    mask[4:13, 5:12, 1:5] = True
    return mask


def test_opening_removes_specks_and_closing_fills_holes() -> None:
    mask = blob()
    mask[17, 15, 2] = True  # speck
    mask[8, 8, 3] = False  # hole
    scan = scan_of(np.zeros(mask.shape))
    opened = morphed(mask, scan, Morphology(opening=1))
    assert not opened[17, 15, 2]
    assert not opened[8, 8, 3]
    closed = morphed(mask, scan, Morphology(closing=1))
    assert closed[17, 15, 2]
    assert closed[8, 8, 3]
    np.testing.assert_array_equal(closed[4:13, 5:12], blob()[4:13, 5:12])


def test_the_largest_piece_goes_on_through_slices() -> None:
    mask = np.zeros((20, 18, 6), dtype=bool)
    mask[2:5, 3:6, :] = True  # 54 voxels, never more than 9 in a slice
    mask[10:16, 10:15, 2] = True  # 30 voxels in one slice
    kept = morphed(mask, scan_of(np.zeros(mask.shape)), Morphology(is_largest=True))
    assert kept.sum() == 54
    assert kept[3, 4].all()


def test_watershed_moves_the_edge_to_the_edge_of_the_scan() -> None:
    truth = blob()
    rough = np.roll(truth, 1, axis=0)
    found = morphed(rough, scan_of(100.0 * truth), Morphology(watershed=2))

    def dice(mask: NDArray[np.bool_]) -> float:
        return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))

    assert dice(rough) == pytest.approx(8 / 9)
    assert dice(found) > 0.9


def test_every_way_to_shape_is_the_same_alone_as_together() -> None:
    mask = np.random.default_rng(5).uniform(size=(20, 18, 6)) < 0.1
    mask |= blob()
    scan = scan_of(np.random.default_rng(6).normal(size=mask.shape))
    together = dict(all_morphed(mask, scan))
    assert set(together) == set(MORPHOLOGIES)
    for morphology in (*MORPHOLOGIES[::7], MORPHOLOGIES[-1]):
        np.testing.assert_array_equal(morphed(mask, scan, morphology), together[morphology])
    np.testing.assert_array_equal(together[Morphology()], mask)


@pytest.mark.parametrize("morphology", [Morphology(), MORPHOLOGIES[-1]])
def test_an_empty_mask_stays_empty(morphology: Morphology) -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    assert not morphed(mask, scan_of(grey()), morphology).any()


def test_slices_of_any_axis_are_shaped() -> None:
    mask = blob()
    mask[17, 15, 2] = True
    scan = scan_of(np.zeros(mask.shape))
    turned = NormalizedScan(np.moveaxis(scan.contrasts, 3, 1), (3.0, 1.0, 1.2), 0)
    expected = np.moveaxis(morphed(mask, scan, Morphology(opening=1)), 2, 0)
    np.testing.assert_array_equal(
        morphed(np.moveaxis(mask, 2, 0), turned, Morphology(opening=1)), expected
    )


def test_recipes_tell_in_words_what_they_do() -> None:
    threshold = Threshold(PLAIN, Grouping(4, 1, "near"), 2, 3, 0.4, None)
    recipe = Recipe(threshold, Morphology(1, 0, True, 0), 0.8)
    assert recipe.description(["T1", "FLAIR"]) == (
        "prior >= 0.4 and brightest 2 of 4 k-means classes (FLAIR, near the structures); "
        "prior stretched to the grid; opening 1; largest component"
    )
    middle = Threshold(PLAIN, Grouping(5, None, "scan"), 1, 2, 0, 0.7)
    assert middle.description(["T1", "FLAIR"]) == (
        "k-means classes 2 to 3 of 5 from dark to bright (all contrasts, of the whole scan), "
        "or prior >= 0.7; prior stretched to the grid"
    )
    alone = Threshold(PLAIN, Grouping(3, 0, "scan"), 0, 0, 0, None)
    assert alone.description(["T1"]) == "darkest 1 of 3 k-means classes (T1, of the whole scan)"
    fixed = Threshold(PLAIN, groupings(1)[-1], 5, 8, 0, None)
    assert fixed.description(["T1"]) == "normalised T1 from -1.5 to -0.5"
    dark = Threshold(PLAIN, groupings(1)[-1], 0, 8, 0, None)
    assert dark.description(["T1"]) == "normalised T1 < -0.5"
    only_prior = Threshold(ALIGNMENTS[-1], Grouping(3, None, "scan"), 0, 2, 0.35, None)
    assert only_prior.description(["T1"]) == (
        "prior >= 0.35; prior stretched to the bright foreground, moved to the best match"
    )
