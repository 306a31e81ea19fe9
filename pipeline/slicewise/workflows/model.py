"""A loaded model: segments scans that are given as volumes or paths."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slicewise.config import Config
from slicewise.dataset.contrasts import on_one_grid
from slicewise.errors import ScanError
from slicewise.imaging.scan import read_scan
from slicewise.imaging.volume import Volume
from slicewise.progress import SILENT, Progress
from slicewise.segmentation.prediction import Prediction, Segmenter


@dataclass(frozen=True)
class Model:
    """A model that segments scans, ready to use.

    Attributes:
        segmenter: makes the masks: networks of this process, of a cross-validation, or a service.
    """

    segmenter: Segmenter

    @property
    def config(self) -> Config:
        """The configuration that the model was trained with."""
        return self.segmenter.config

    @property
    def labels(self) -> Mapping[str, int]:
        """Structure to its value in the masks."""
        return self.config.data.labels

    @property
    def contrasts(self) -> tuple[str, ...]:
        """What the model wants to see, in this order."""
        return tuple(self.config.data.contrasts)

    def predict(
        self,
        *scans: Volume | str | os.PathLike[str],
        case: str = "",
        refuse_unlike: bool = False,
        progress: Progress = SILENT,
    ) -> Prediction:
        """Segment one scan.

        Args:
            scans: the scan, or one a contrast in the order of ``contrasts``: volumes, or paths of
                NIfTI files, DICOM folders or pictures.
            case: name of the case, by which a cross-validation tells the network that has not seen
                it; without one, the name of the first volume.
            refuse_unlike: raise an error for a scan that is unlike those of the training.
            progress: receives the progress.

        Returns:
            Label values of shape (X, Y, Z) on the grid of the first scan, with ``probabilities``
            (background, then each structure), ``confidence`` (one row per structure: volume in
            ml, estimated Dice, and the Dice that a cross-validation predicts) and ``unlikeness``
            (its ``reasons`` say in what the scan is unlike those of the training).

        Raises:
            ScanError: a scan that cannot be read, or another number of contrasts; one that is
                refused.
            GeometryError: contrasts on different grids.

        Example:
            >>> model = slicewise.load_model("my_model")
            >>> mask = model.predict("my_scans/images/case0.nii.gz")
            >>> mask.voxels.dtype, mask.orientation
            (dtype('uint8'), 'LPS')
        """
        if not scans:
            raise ScanError(
                "predict",
                expected=f"a scan of {', '.join(self.contrasts)}",
                found="no scan",
                remedy="give a volume or a path",
            )
        reading = self.config.reading
        volumes: Sequence[Volume] = [
            scan if isinstance(scan, Volume) else read_scan(Path(scan), reading) for scan in scans
        ]
        if len(volumes) == len(self.contrasts):
            volumes = on_one_grid(volumes, self.contrasts, reading)
        with progress.task("predicting", 1) as task:
            found = self.segmenter.predict(*volumes, case=case or volumes[0].name, task=task)
        if refuse_unlike:
            found.unlikeness.require_alike(volumes[0].name)
        return found
