"""The mask that a model makes of a scan, with its probabilities and confidence; who makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

from slicewise.config import Config
from slicewise.dataset.measurements import Measurements
from slicewise.imaging.volume import Volume
from slicewise.progress import SilentTask, Task
from slicewise.segmentation.confidence import StructureConfidence
from slicewise.segmentation.unlikeness import UNKNOWN, Unlikeness

if TYPE_CHECKING:
    import pandas as pd

UNWATCHED: Task = SilentTask()


@dataclass(frozen=True)
class Prediction(Volume):
    """A mask on the grid of its scan, with what the model says about it.

    Attributes:
        probabilities: background, then each structure, in [0, 1] on the grid of the scan, at the
            temperature of the configuration; empty from a model that has none, or that is served.
        confidences: how sure the model is of each structure; empty from one without probabilities.
        unlikeness: in what the scan is unlike those of the training.
        measurements: of the scan, as each network of the model has seen it.
    """

    probabilities: tuple[Volume, ...] = ()
    confidences: tuple[StructureConfidence, ...] = ()
    unlikeness: Unlikeness = UNKNOWN
    measurements: tuple[Measurements, ...] = ()

    @classmethod
    def of(
        cls,
        mask: Volume,
        probabilities: Sequence[Volume] = (),
        confidences: Sequence[StructureConfidence] = (),
        unlikeness: Unlikeness = UNKNOWN,
        measurements: Sequence[Measurements] = (),
    ) -> Prediction:
        """A mask with what is known about it; see the attributes."""
        return cls(
            mask.voxels,
            mask.affine,
            mask.name,
            mask.header,
            mask.warnings,
            probabilities=tuple(probabilities),
            confidences=tuple(confidences),
            unlikeness=unlikeness,
            measurements=tuple(measurements),
        )

    @property
    def confidence(self) -> pd.DataFrame:
        """One row per structure: volume in ml, estimated and predicted Dice, uncertainty."""
        import pandas as pd

        rows = [asdict(item) for item in self.confidences]
        return pd.DataFrame(rows).set_index("structure") if rows else pd.DataFrame()


class Segmenter(Protocol):
    """Makes masks of scans: networks, the classical baseline, or a served model."""

    @property
    def config(self) -> Config:
        """Contrasts, structures, and how unusual scans are read."""

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
