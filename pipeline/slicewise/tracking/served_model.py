"""The model that MLflow stores and serves: NIfTI files to masks, volumes and confidence.

MLflow copies this file into the model and runs it to load the model, so that nothing is pickled;
therefore importing it registers the model with MLflow.
"""

from __future__ import annotations

import base64
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from slicewise.errors import ScanError
from slicewise.imaging.memory import within_memory
from slicewise.imaging.nifti.writing import write_mask
from slicewise.segmentation.confidence import StructureConfidence
from slicewise.tracking.packing import ANSWER, PACKED, unpack_model
from slicewise.tracking.request_scans import Row, ScanLimits, read_row


class ServedModel(PythonModel):
    """Segments one scan per row.

    The column ``nifti`` has a ``.nii`` or ``.nii.gz`` file in base64, or ``path`` the path of one;
    several contrasts have the columns ``nifti_NAME`` or ``path_NAME``. The answer has the columns
    ``mask`` (a ``.nii.gz`` file in base64, on the grid of the first contrast), ``volumes_ml`` and
    ``confidence`` (JSON objects keyed by structure), ``unlike`` (a JSON object: in what the scan is
    unlike those of the training) and ``notes`` (a JSON list of sentences, such as that the scan was
    resampled).
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the networks from the artifacts of the model."""
        self.predictor = unpack_model(Path(context.artifacts[PACKED]), "the model").load()

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002  (MLflow passes it by name)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Segment each row.

        Raises:
            ScanError: a file that is damaged, too large, on another grid, or not permitted.
        """
        rows = model_input.to_dict(orient="records")
        if not rows:
            raise ScanError(
                "request",
                expected="rows with a column nifti or path, one for each scan",
                found="no rows",
                remedy="send the file in base64 in the column nifti",
            )
        limits = ScanLimits.from_environment()
        answers = [self._answer(number, row, limits) for number, row in enumerate(rows, start=1)]
        return pd.DataFrame(answers)

    def _answer(self, number: int, row: Row, limits: ScanLimits) -> dict[str, str]:
        predictor = self.predictor
        grids = [member.preprocessing_of for member in predictor.members]
        with tempfile.TemporaryDirectory() as folder, within_memory(f"row {number}"):
            contrasts = read_row(row, number, Path(folder), predictor.config, grids, limits)
            found = predictor.predict(*contrasts)
            path = Path(folder) / "mask.nii.gz"
            write_mask(found, contrasts[0], path)
            mask = base64.b64encode(path.read_bytes()).decode("ascii")
        volumes = {item.structure: _or_none(item.volume_ml) for item in found.confidences}
        sure = {item.structure: _confidence(item) for item in found.confidences}
        unlike = {
            "unlikeness": _or_none(found.unlikeness.score),
            "reasons": found.unlikeness.reasons,
        }
        contents = (volumes, sure, unlike, found.notes)
        texts = (mask, *map(json.dumps, contents))
        return dict(zip(ANSWER, texts, strict=True))


def _confidence(item: StructureConfidence) -> dict[str, float | None]:
    figures = {
        "estimated_dice": item.estimated_dice,
        "predicted_dice": item.predicted_dice,
        "predicted_dice_error": item.predicted_dice_error,
        "uncertainty": item.uncertainty,
    }
    return {key: _or_none(value) for key, value in figures.items()}


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value


set_model(ServedModel())
