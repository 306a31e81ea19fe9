"""What scans of a training have in common, where they hardly differ."""

from __future__ import annotations

import numpy as np

from slicewise.segmentation.distributions import Cloud


def test_scans_that_are_all_equal_have_a_distance_to_others() -> None:
    equal = np.ones((4, 6))
    cloud = Cloud.of("features", equal, 1)
    assert cloud.scores("features", equal[0])["features"] <= 1
    assert cloud.scores("features", np.arange(6.0))["features"] > 1
