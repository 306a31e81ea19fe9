"""The mask that a model makes of a scan, with its probabilities and confidence; who makes them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from slicewise.config import Config
from slicewise.dataset.measurements import Measurements
from slicewise.imaging.volume import Volume
from slicewise.progress import SilentTask, Task
from slicewise.segmentation.confidence import StructureConfidence
from slicewise.segmentation.probability_maps import ProbabilityMaps
from slicewise.segmentation.unlikeness import UNKNOWN, Unlikeness

if TYPE_CHECKING:
    import pandas as pd

UNWATCHED: Task = SilentTask()
_MARK_LETTERS = 12
_WITH_EFFECT: dict[str, Any] = {
    "data": {"contrasts", "labels", "missing_contrasts"},
    "reading": True,
    "preprocessing": True,
    "inference": True,
}
"""Of a configuration, on masks."""


@dataclass(frozen=True)
class Prediction(Volume):
    """A mask on the grid of its scan, with what the model says about it.

    Attributes:
        probabilities: background, then each structure, in [0, 1] on the grid of the scan, at the
            temperature of the configuration; empty from a model that has none, or that is served.
        confidences: how sure the model is of each structure; empty from one without probabilities.
        unlikeness: in what the scan is unlike those of the training.
        measurements: of the scan, as each network of the model has seen it.
        notes: how the model had to be run in another way than it was asked to.
    """

    probabilities: ProbabilityMaps | tuple[()] = ()
    confidences: tuple[StructureConfidence, ...] = ()
    unlikeness: Unlikeness = UNKNOWN
    measurements: tuple[Measurements, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        mask: Volume,
        probabilities: ProbabilityMaps | tuple[()] = (),
        confidences: Sequence[StructureConfidence] = (),
        unlikeness: Unlikeness = UNKNOWN,
        measurements: Sequence[Measurements] = (),
        notes: Sequence[str] = (),
    ) -> Prediction:
        """A mask with what is known about it; see the attributes."""
        return cls(
            mask.voxels,
            mask.affine,
            mask.name,
            mask.header,
            mask.warnings,
            spacing_is_known=mask.spacing_is_known,
            probabilities=probabilities,
            confidences=tuple(confidences),
            unlikeness=unlikeness,
            measurements=tuple(measurements),
            notes=tuple(notes),
        )

    @property
    def confidence(self) -> pd.DataFrame:
        """One row per structure: volume in ml, estimated and predicted Dice, uncertainty."""
        import pandas as pd

        rows = [asdict(item) for item in self.confidences]
        return pd.DataFrame(rows).set_index("structure") if rows else pd.DataFrame()


def model_mark(config: Config, *content: bytes | str) -> str:
    """Name of a model, with a checksum of what its masks depend on.

    Args:
        config: of the model; how it was trained is of no consequence.
        content: weights, or whatever else stands for them.
    """
    digest = hashlib.sha256(config.model_dump_json(include=_WITH_EFFECT).encode())
    for part in content:
        digest.update(part if isinstance(part, bytes) else part.encode())
    return f"{config.model_name} {digest.hexdigest()[:_MARK_LETTERS]}"


class Segmenter(Protocol):
    """Makes masks of scans: networks, the classical baseline, or a served model."""

    @property
    def config(self) -> Config:
        """Contrasts, structures, and how unusual scans are read."""

    @property
    def made_by(self) -> str:
        """Name and checksum of all that masks depend on; a mark of their folder has it."""

    def predict(self, *contrasts: Volume, case: str = "", task: Task = UNWATCHED) -> Prediction:
        """Segment a scan.

        Args:
            contrasts: one volume a contrast of the configuration, all on one grid.
            case: name of the case; a cross-validation finds its out-of-fold network by it.
            task: follows the work; its total is 1.

        Returns:
            Label values on the grid of the first contrast.

        Raises:
            ScanError: NaN voxels, or another number of contrasts than the model was trained on.
        """
