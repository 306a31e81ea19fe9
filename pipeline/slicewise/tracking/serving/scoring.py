"""Answers one request to a model; runs in the child processes of the service."""

from __future__ import annotations

import io
import json
import logging
import signal
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicewise.errors import ScanError, SlicewiseError
from slicewise.imaging.memory import be_ended_first, limit_memory, within_memory
from slicewise.tracking.request_scans import ScanLimits
from slicewise.tracking.serving.memory import give_memory_back
from slicewise.tracking.serving.refusals import wrong_request

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.pyfunc import PyFuncModel

PRELOADED = ("mlflow.pyfunc.scoring_server", "slicewise.tracking.served_model")
"""What the first request would have to wait for."""
_FORMATS = ("dataframe_records", "dataframe_split", "instances", "inputs")


def prepare(model: Path, limits: ScanLimits, memory_bytes: int | None) -> None:
    """Make this child ready for requests.

    Args:
        model: as ``save_servable`` wrote it.
        limits: of the scans of a request.
        memory_bytes: that a request may take; None takes what is free.
    """
    # Not after the end of a computation.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    be_ended_first()
    give_memory_back()
    limits.to_environment()
    # It warns of what requests are answered with.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    _model(model)
    if memory_bytes is not None:
        limit_memory(memory_bytes)


def answer(model: Path, body: Path) -> bytes:
    """The predictions for a request, as JSON.

    Args:
        model: see ``prepare``.
        body: file with the body of the request; temporary files are written next to it.

    Raises:
        SlicewiseError: the request or a scan cannot be used.
    """
    from mlflow.pyfunc.scoring_server import predictions_to_json

    # Whoever ends this process removes the folder.
    tempfile.tempdir = str(body.parent)
    with within_memory("request"):
        table = _table(body, model)
        try:
            found = _model(model).predict(table)
        except SlicewiseError:
            raise
        except Exception as error:
            if not _is_mlflow(error):
                raise
            # MLflow's own message repeats the data.
            raise _other_columns(table) from None
        text = io.StringIO()
        predictions_to_json(found, text)
        return text.getvalue().encode()


@cache
def _model(folder: Path) -> PyFuncModel:
    from mlflow import pyfunc

    model: PyFuncModel = pyfunc.load_model(str(folder))
    return model


def _table(body: Path, model: Path) -> pd.DataFrame:
    """The rows of a request."""
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    content = _parsed(body.read_bytes())
    formats = [name for name in _FORMATS if name in content]
    if len(formats) != 1:
        raise wrong_request("several tables" if formats else "no table of scans")
    try:
        schema = _model(model).metadata.get_input_schema()
        table: pd.DataFrame = infer_and_parse_data({formats[0]: content[formats[0]]}, schema)
    except (MlflowException, ValueError, LookupError, TypeError, AttributeError):
        raise wrong_request(f"{formats[0]} that is no table") from None
    return table


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except json.JSONDecodeError as error:
        raise wrong_request(f"JSON with a mistake at character {error.pos + 1}") from None
    except RecursionError:
        raise wrong_request("brackets nested too deeply") from None
    except ValueError:
        raise wrong_request("text that is no JSON") from None
    if not isinstance(content, dict):
        raise wrong_request("JSON without a table of scans")
    return content


def _is_mlflow(error: Exception) -> bool:
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException)


def _other_columns(table: object) -> SlicewiseError:
    columns = ", ".join(str(name)[:40] for name in list(getattr(table, "columns", ()))[:10])
    return ScanError(
        "request",
        expected="text in a column nifti, or nifti_NAME for each of several contrasts",
        found=columns or "no column",
        remedy="see the example in docs/serving.md, or the input example of the model",
    )
