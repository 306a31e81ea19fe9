"""The model that MLflow stores and serves: NIfTI files to masks, volumes and confidence.

MLflow copies this file into the model and runs it to load the model, so that nothing is pickled;
therefore importing it registers the model with MLflow.
"""

from __future__ import annotations

import base64
import json
import math
import os
import tempfile
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from slicewise.config import ReadingSection
from slicewise.dataset.contrasts import on_one_grid
from slicewise.errors import ScanError
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.nifti.writing import write_mask
from slicewise.imaging.volume import Volume
from slicewise.segmentation.confidence import StructureConfidence
from slicewise.tracking.packing import ALLOWED_FOLDER, ANSWER, PACKED, unpack_model

Row = Mapping[Hashable, Any]
"""Column to value; None or NaN where a column is missing."""


class ServedModel(PythonModel):
    """Segments one scan per row.

    The column ``nifti`` has a ``.nii`` or ``.nii.gz`` file in base64, or ``path`` the path of one;
    several contrasts have the columns ``nifti_NAME`` or ``path_NAME``. The answer has the columns
    ``mask`` (a ``.nii.gz`` file in base64, on the grid of the first contrast), ``volumes_ml`` and
    ``confidence`` (JSON objects keyed by structure), and ``unlike`` (a JSON object: in what the
    scan is unlike those of the training).
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
            ScanError: a file that is damaged, on another grid, or not permitted.
        """
        rows = model_input.to_dict(orient="records")
        if not rows:
            raise ScanError(
                "request",
                expected="rows with a column nifti or path, one for each scan",
                found="no rows",
                remedy="send the file in base64 in the column nifti",
            )
        return pd.DataFrame([self._answer(number, row) for number, row in enumerate(rows)])

    def _answer(self, number: int, row: Row) -> dict[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            contrasts = self._contrasts(Path(folder), number, row)
            found = self.predictor.predict(*contrasts)
            path = Path(folder) / "mask.nii.gz"
            write_mask(found, contrasts[0], path)
            mask = base64.b64encode(path.read_bytes()).decode("ascii")
        volumes = {item.structure: item.volume_ml for item in found.confidences}
        sure = {item.structure: _confidence(item) for item in found.confidences}
        unlike = {
            "unlikeness": _or_none(found.unlikeness.score),
            "reasons": found.unlikeness.reasons,
        }
        texts = (mask, json.dumps(volumes), json.dumps(sure), json.dumps(unlike))
        return dict(zip(ANSWER, texts, strict=True))

    def _contrasts(self, folder: Path, number: int, row: Row) -> Sequence[Volume]:
        """The volumes of a row, in the order of the contrasts of the model."""
        config = self.predictor.config
        names = config.data.contrasts
        endings = [f"_{name}" for name in names] if len(names) > 1 else [""]
        volumes = []
        for place, ending in enumerate(endings):
            where = f"row {number + 1}, nifti{ending}"
            path = _file(row, ending, where, folder / f"row{number + 1}_{place + 1}.nii.gz")
            volumes.append(_read(path, where, config.reading))
        return on_one_grid(volumes, names, config.reading)


def _file(row: Row, ending: str, where: str, place: Path) -> Path:
    """The file of one contrast: decoded and written to ``place``, or named by its path."""
    given = {key: row.get(f"{key}{ending}") for key in ("nifti", "path")}
    texts = {key: value for key, value in given.items() if isinstance(value, str)}
    if len(texts) != 1:
        raise ScanError(
            where,
            expected=f"one of nifti{ending} and path{ending}",
            found="both" if texts else "neither as text",
            remedy="send the file in base64; see the input example of the model",
        )
    if "path" in texts:
        return _permitted(Path(texts["path"]), where)
    content = _decoded(texts["nifti"], where)
    # The reader infers compression from the suffix.
    path = place if content[:2] == b"\x1f\x8b" else place.with_suffix("")
    path.write_bytes(content)
    return path


def _permitted(path: Path, where: str) -> Path:
    folder = os.environ.get(ALLOWED_FOLDER)
    # Resolved, so that neither .. nor a link leads out of the folder.
    if folder and path.resolve().is_relative_to(Path(folder).resolve()):
        return path.resolve()
    raise ScanError(
        where,
        expected="a file below the permitted folder" if folder else "a file in base64",
        found="a path elsewhere" if folder else "a path, which this server does not permit",
        remedy="send the file in base64 in the column nifti",
    )


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ScanError(
            where,
            expected="a .nii.gz file in base64",
            found=str(error),
            remedy="encode the bytes of the file, without line breaks",
        ) from error


def _read(path: Path, where: str, reading: ReadingSection) -> Volume:
    try:
        return read_nifti(path, reading)
    except ScanError as error:
        # The path is that of a temporary file or of a folder of the server.
        raise type(error)(
            where, expected=error.expected, found=error.found, remedy=error.remedy
        ) from None


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
