"""Widens what counts as unlike the training until it holds for training scans that are left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sklearn.model_selection import GroupKFold

from slicewise.dataset.measurements import Measurements
from slicewise.segmentation.distributions import FALSE_ALARMS
from slicewise.segmentation.training_profile import NO_ERRORS, Difference, TrainingProfile
from slicewise.segmentation.unlikeness import Unlikeness

_GROUPS = 12
"""Patients are left out in so many groups; of fewer patients, one at a time."""


@dataclass(frozen=True)
class CalibratedProfile:
    """What the scans of a training looked like, with limits that hold for the next one.

    Attributes:
        profile: of all scans.
        left_out: how unlike the others each scan is.

    Source:
        Cross-conformal prediction: Vovk, Ann Math Artif Intell 2015;74:9-28.
    """

    profile: TrainingProfile
    left_out: tuple[Unlikeness, ...]

    @classmethod
    def of(
        cls,
        measured: Sequence[Measurements],
        patients: Sequence[str],
        errors: Mapping[str, float] = NO_ERRORS,
    ) -> CalibratedProfile:
        """Summarise the scans of a training, and compare each with the others.

        Of n scans like those of the training, ``FALSE_ALARMS`` are called unlike at most; 1 of
        n + 1 where they are too few to tell more.

        Args:
            measured: at least ``FEWEST_SCANS``.
            patients: of each scan; those of one patient are left out together.
            errors: see ``TrainingProfile.of``.
        """
        found: list[Mapping[str, Difference]] = [{}] * len(measured)
        # Where all are of one patient, nothing better is known than each scan by itself.
        groups = patients if len(set(patients)) > 1 else range(len(measured))
        folds = GroupKFold(min(_GROUPS, len(set(groups))))
        for known, left_out in folds.split(measured, groups=groups):
            profile = TrainingProfile.of([measured[place] for place in known], errors)
            for place in left_out:
                found[place] = profile.compare(measured[place])
        factors = _widening(found)
        return cls(
            TrainingProfile.of(measured, errors).widened(factors),
            tuple(
                Unlikeness.of(
                    [{name: item.within(factors.get(name, 1.0)) for name, item in scan.items()}]
                )
                for scan in found
            ),
        )


def _widening(found: Sequence[Mapping[str, Difference]]) -> dict[str, float]:
    """By how much each limit is widened; none is narrowed.

    All scans but the few that may be called unlike are to be within the limits. What holds for
    scans that are left out holds for the next one.
    """
    rank = math.ceil((1 - FALSE_ALARMS) * (len(found) + 1))
    factors: dict[str, float] = {}
    for scan in sorted(found, key=_worst)[:rank]:
        for name, item in scan.items():
            if not item.is_word:
                factors[name] = max(item.score, factors.get(name, 1.0))
    return factors


def _worst(found: Mapping[str, Difference]) -> float:
    """The largest score; infinite where no width makes a difference."""
    return max(
        (math.inf if item.is_word and item.score > 1 else item.score for item in found.values()),
        default=0.0,
    )
