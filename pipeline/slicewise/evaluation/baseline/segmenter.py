"""The classical baseline: a segmenter without a network, fitted to training cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.catalogue import Case
from slicewise.dataset.native_grid import NativeGrid
from slicewise.dataset.preprocessing import Preprocessing
from slicewise.dataset.workers import Workers
from slicewise.evaluation.baseline.learning import learn
from slicewise.evaluation.baseline.prior import Prior
from slicewise.evaluation.baseline.recipe import Recipe
from slicewise.evaluation.baseline.scans import NormalizedScan, preprocessed_spacing_mm
from slicewise.evaluation.baseline.search import search
from slicewise.imaging.files import part_folder
from slicewise.imaging.volume import Volume
from slicewise.progress import SILENT, Progress, Task
from slicewise.segmentation.label_map import label_map
from slicewise.segmentation.prediction import UNWATCHED, Prediction, model_mark
from slicewise.segmentation.probability_maps import ProbabilityMaps


class Baseline:
    """Thresholds, morphology and a prior, fitted to training cases.

    Args:
        config: the preprocessing and the structures, as the network has them.
        prior: how often each structure was where.
        recipes: of each structure in the order of ``data.labels``; None where it was never seen.
        searched_cases: training cases that the recipes were chosen on.
        is_of_one_patient: then a recipe was chosen on the very labels that made the prior.
    """

    def __init__(
        self,
        config: Config,
        prior: Prior,
        recipes: Sequence[Recipe | None],
        searched_cases: int,
        *,
        is_of_one_patient: bool = False,
    ) -> None:
        self.config = config
        self.prior = prior
        self.recipes = tuple(recipes)
        self.searched_cases = searched_cases
        self.is_of_one_patient = is_of_one_patient
        self.preprocessing = Preprocessing(config.preprocessing, config.data, config.reading)

    @classmethod
    def fitted(
        cls,
        cases: Sequence[tuple[CachedCase, Case]],
        config: Config,
        folder: Path,
        *,
        workers: Workers,
        progress: Progress = SILENT,
    ) -> Baseline:
        """Fit to training cases.

        Args:
            cases: at least one, in the cache and in the catalogue.
            config: contrasts, structures and preprocessing.
            folder: that the workers see; what they share lies there until the fitting ends.
            workers: see ``run_on_scans``.
            progress: receives how far the work is.

        Raises:
            ScanError: a case cannot be read any more.
        """
        with part_folder(folder) as shared:
            learned = learn(cases, config, shared, workers, progress)
            recipes, searched = search(learned, workers, progress)
        return cls(
            config, learned.prior, recipes, searched, is_of_one_patient=learned.is_of_one_patient
        )

    @property
    def made_by(self) -> str:
        """See ``Segmenter``."""
        return model_mark(self.config, "baseline", *map(repr, self.recipes))

    def descriptions(self) -> dict[str, str]:
        """Structure to how it is segmented, for people."""
        return {
            name: recipe.description(self.config.data.contrasts)
            if recipe
            else "never in the training cases: predicted nowhere"
            for name, recipe in zip(self.config.data.labels, self.recipes, strict=True)
        }

    def predict(self, *contrasts: Volume, case: str = "", task: Task = UNWATCHED) -> Prediction:
        """Segment a scan; thresholds have no probabilities.

        Args:
            contrasts: one volume a contrast of the configuration, all on one grid.
            case: of no consequence here.
            task: of no consequence here; it takes a moment.

        Returns:
            Label values on the grid of the first contrast.

        Raises:
            ScanError: NaN voxels, or contrasts on different grids.
        """
        del case, task
        image, axis = self.preprocessing.from_volumes(contrasts)  # (C, X, Y, Z)
        spacing_mm = preprocessed_spacing_mm(contrasts[0], axis, self.config)
        scan = NormalizedScan(image.numpy().astype(np.float32), spacing_mm, axis)
        masks = self._structures(scan).astype(np.float32)
        native = NativeGrid.of(contrasts[0], image).whole(masks)  # (K, X, Y, Z)
        # As with a network: what is resampled is a share of each voxel, and the largest wins.
        shares = ProbabilityMaps.of(contrasts[0], np.stack([1 - native.sum(0), *native]))
        labels, slice_exclusive = self.config.data.labels, self.config.inference.slice_exclusive
        return Prediction.of(label_map(shares, labels, slice_exclusive))

    def _structures(self, scan: NormalizedScan) -> NDArray[np.bool_]:
        """Where each structure is, (K, X, Y, Z); of several the one with the largest prior."""
        claims = np.full((len(self.recipes), *scan.shape), -1, dtype=np.float32)
        for number, recipe in enumerate(self.recipes):
            if recipe is not None:
                mask, frequency = recipe.mask(scan, self.prior, number)
                claims[number, mask] = frequency[mask]
        winner = claims.argmax(axis=0)
        return np.stack([(winner == number) & (claim >= 0) for number, claim in enumerate(claims)])
