"""The web service of a model: MLflow's scoring server behind limits on its requests."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from slicewise.config import as_yaml, without_places
from slicewise.errors import ScanError, SlicewiseError
from slicewise.tracking.packing import ALLOWED_FOLDER, ModelFiles
from slicewise.tracking.registry import input_example, save_servable
from slicewise.tracking.serving.request_limits import Limits, RequestLimiter, model_errors
from slicewise.tracking.store import prepare_mlflow

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.pyfunc import PyFuncModel

DESCRIPTION = "/description"
"""Path that answers with the configuration of the model as YAML."""
_MLFLOW_TIMEOUT = "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"


class GuardedModel:
    """A model that records its errors for the answer.

    Args:
        model: as MLflow loads it.
    """

    def __init__(self, model: PyFuncModel) -> None:
        self._model = model
        self.metadata = model.metadata

    def predict(self, data: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        """Predict with the model."""
        from mlflow.exceptions import MlflowException

        try:
            return self._model.predict(data, params=params)
        except SlicewiseError as error:
            model_errors.get().append(error)
            raise
        except MlflowException as error:
            # MLflow's own message repeats the data.
            model_errors.get().append(_other_columns(data))
            raise error from None


def build_service(
    files: ModelFiles, limits: Limits, allowed_folder: Path | None = None
) -> RequestLimiter:
    """Build the ASGI application that serves one model.

    Args:
        files: of the model.
        limits: of each request.
        allowed_folder: requests may name scans below it by path; None permits only file contents.

    Raises:
        ModelError, CheckpointError: the model is damaged.
    """
    prepare_mlflow()
    from fastapi.responses import PlainTextResponse
    from mlflow import pyfunc
    from mlflow.pyfunc import scoring_server

    os.environ.pop(ALLOWED_FOLDER, None)
    if allowed_folder is not None:
        os.environ[ALLOWED_FOLDER] = str(allowed_folder.resolve())
    # Our own limit applies; MLflow's would end long predictions earlier.
    os.environ[_MLFLOW_TIMEOUT] = str(int(10 * limits.timeout_seconds) + 1)
    config = files.load().config
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model"
        save_servable(saved, files, "", input_example(config.data.contrasts))
        model = pyfunc.load_model(str(saved))
    # The scoring server uses only the metadata and the predictions of a model.
    guarded = cast("PyFuncModel", GuardedModel(model))
    application = scoring_server.init(guarded)
    described = as_yaml(without_places(config))
    application.add_api_route(DESCRIPTION, lambda: PlainTextResponse(described))
    return RequestLimiter(application, limits)


def _other_columns(data: pd.DataFrame) -> SlicewiseError:
    return ScanError(
        "request",
        expected="text in a column nifti, or nifti_NAME for each of several contrasts",
        found=", ".join(map(str, data.columns)) or "no column",
        remedy="see the example in docs/serving.md, or the input example of the model",
    )
