"""NIfTI files as text in, a mask as text out: the model that MLflow stores and serves.

MLflow copies this file into the model and runs it to load the model, so that nothing is pickled;
this is why importing it names the model.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from pipeline.dataset.contrasts import on_one_grid
from pipeline.errors import ScanError
from pipeline.imaging.nifti.reading import read_nifti
from pipeline.imaging.nifti.writing import write_mask
from pipeline.segmentation.inference import Predictor


class ServedModel(PythonModel):
    """One column a contrast to column ``mask``; each holds a ``.nii.gz`` file in base64."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the checkpoint that travels with the model."""
        self.predictor = Predictor.from_checkpoint(Path(context.artifacts["checkpoint"]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002  (MLflow passes it by name)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """One mask a row, on the grid of the scan in its first column."""
        rows = model_input.itertuples(index=False)
        return pd.DataFrame({"mask": [self._mask(row, texts) for row, texts in enumerate(rows)]})

    def _mask(self, row: int, texts: Iterable[str]) -> str:
        config = self.predictor.config
        with tempfile.TemporaryDirectory() as folder:
            contrasts = []
            for column, text in enumerate(texts):
                path = Path(folder) / f"row{row}_column{column}.nii.gz"
                path.write_bytes(_decoded(path.name, text))
                contrasts.append(read_nifti(path, config.reading))
            if len(contrasts) == len(config.data.contrasts):
                contrasts = on_one_grid(contrasts, config.data.contrasts, config.reading)
            mask_path = Path(folder) / "mask.nii.gz"
            write_mask(self.predictor.predict(*contrasts), contrasts[0], mask_path)
            return base64.b64encode(mask_path.read_bytes()).decode("ascii")


def _decoded(where: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ScanError(
            where,
            expected="a .nii.gz file in base64",
            found=str(error),
            remedy="encode the bytes of the file, without line breaks",
        ) from error


set_model(ServedModel())
