"""In what a scan is unlike those that the networks of a model were trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slicewise.errors import ScanError
from slicewise.segmentation.training_profile import Difference

_LOOKS = {
    "intensities": "intensities",
    "layout": "what lies where (body part, orientation or field of view)",
    "features": "features that the network sees",
    "places": "places of the structures",
}


@dataclass(frozen=True)
class Unlikeness:
    """How unlike the scans of the training a scan is.

    Attributes:
        score: of the respect in which it differs most; above 1 it is unlike them, NaN where the
            model does not know what they looked like.
        reasons: in what it is unlike them, in words; empty for a scan like them.
    """

    score: float = math.nan
    reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, differences: Sequence[Mapping[str, Difference]]) -> Unlikeness:
        """Join what the networks of a model say.

        Args:
            differences: of each network that knows its training. A respect has the median of the
                scores: several networks raise no more false alarms than one.
        """
        names = dict.fromkeys(name for found in differences for name in found)
        scores: dict[str, float] = {}
        texts: dict[str, str] = {}
        for name in names:
            known = [found[name] for found in differences if name in found]
            scores[name] = float(np.median([item.score for item in known]))
            texts[name] = max(known, key=lambda item: item.score).text
        if not scores:
            return UNKNOWN
        outside = [name for name in scores if scores[name] > 1]
        unlike = sorted(outside, key=lambda name: -scores[name])
        reasons = [texts[name] for name in unlike if name not in _LOOKS]
        if looks := [words for name, words in _LOOKS.items() if name in unlike]:
            reasons.append(f"looks unlike the training scans: {', '.join(looks)}")
        return cls(max(scores.values()), tuple(reasons))

    def require_alike(self, scan: str) -> None:
        """Refuse a scan that is unlike those of the training.

        Args:
            scan: its name.

        Raises:
            ScanError: it is unlike them, or the model does not know what they looked like.
        """
        if math.isnan(self.score):
            raise ScanError(
                scan,
                expected="a model that knows what the scans of its training looked like",
                found="one without this knowledge: an unfinished training, or one of few scans",
                remedy="leave `refuse_unlike` out, or give the folder of a finished training",
            )
        if self.reasons:
            raise ScanError(
                scan,
                expected="a scan like those that the model was trained on",
                found="; ".join(self.reasons),
                remedy="choose a model that was trained on such scans, or leave `refuse_unlike` "
                "out and check the mask with care",
            )


UNKNOWN = Unlikeness()
"""Of a scan that was compared with nothing."""
