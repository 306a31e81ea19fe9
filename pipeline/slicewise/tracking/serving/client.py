"""The client of a served model: sends scans and receives masks."""

from __future__ import annotations

import base64
import json
import math
import re
import tempfile
from pathlib import Path
from typing import Any

import requests

from slicewise.config import Config, parse_config
from slicewise.errors import ModelError, ScanError, UsageError
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.nifti.writing import write_volume
from slicewise.imaging.volume import Volume, require_same_grid
from slicewise.progress import Task
from slicewise.segmentation.confidence import StructureConfidence
from slicewise.segmentation.prediction import UNWATCHED, Prediction, model_mark
from slicewise.segmentation.unlikeness import Unlikeness
from slicewise.tracking.addresses import with_scheme
from slicewise.tracking.serving.request_limits import INVOCATIONS
from slicewise.tracking.serving.service import DESCRIPTION

_EXAMPLE = "http://127.0.0.1:5001"
_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 600
"""Longer than the default of the service, whose own error is more precise."""
_FIGURES = ("estimated_dice", "predicted_dice", "predicted_dice_error", "uncertainty")


class RemoteModel:
    """A model that ``slicewise serve`` serves.

    Args:
        url: of the service, such as http://127.0.0.1:5001.

    Raises:
        UsageError: the address has no ``http://``.
        ModelError: there is no answer, or not that of ``slicewise serve``.
    """

    def __init__(self, url: str) -> None:
        _require_address(url)
        self.url = url.rstrip("/")
        answer = self._request("GET", DESCRIPTION)
        if answer.status_code != requests.codes.ok:
            raise self._not_a_service(f"{DESCRIPTION} answers with status {answer.status_code}")
        self.config: Config = parse_config(answer.text, f"{self.url}{DESCRIPTION}", trained=True)

    @property
    def made_by(self) -> str:
        """See ``Segmenter``; of a served model no more than its configuration is known."""
        return model_mark(self.config, "served")

    def predict(self, *contrasts: Volume, case: str = "", task: Task = UNWATCHED) -> Prediction:
        """Segment a scan; the answer holds no probabilities.

        Args:
            contrasts: one volume per contrast of the configuration, in its order.
            case: ignored.
            task: ignored; the service reports no progress.

        Raises:
            ScanError: the service refuses the scan, with its reason.
            ModelError: it does not answer, or not as ``slicewise serve`` does.
        """
        del case, task
        names = self.config.data.contrasts
        columns = [f"nifti_{name}" for name in names] if len(names) > 1 else ["nifti"]
        row = {column: _encoded(scan) for column, scan in zip(columns, contrasts, strict=True)}
        answer = self._request("POST", INVOCATIONS, {"dataframe_records": [row]})
        if answer.status_code != requests.codes.ok:
            raise self._refused(answer, contrasts[0])
        try:
            (result,) = answer.json()["predictions"]
            content = base64.b64decode(result["mask"], validate=True)
            volumes, sure = json.loads(result["volumes_ml"]), json.loads(result["confidence"])
            confidences = [
                _confidence(name, volumes[name], sure[name], contrasts[0]) for name in volumes
            ]
            unlikeness = _unlikeness(json.loads(result["unlike"]))
            notes = [str(text) for text in json.loads(result["notes"])]
        except (ValueError, LookupError, TypeError) as error:
            raise self._not_a_service("an answer without a mask") from error
        mask = _mask(content, contrasts[0])
        return Prediction.of(mask, (), confidences, unlikeness, notes=notes)

    def _request(self, method: str, path: str, content: object = None) -> requests.Response:
        try:
            return requests.request(
                method,
                f"{self.url}{path}",
                json=content,
                timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS),
            )
        except requests.RequestException as error:
            raise self._not_a_service(_problem(error)) from error

    def _refused(self, answer: requests.Response, scan: Volume) -> ScanError:
        try:
            error = answer.json()["error"]
            texts = {key: str(error[key]) for key in ("expected", "found", "remedy")}
        except (ValueError, LookupError, TypeError):
            texts = {
                "expected": "a mask",
                "found": f"status {answer.status_code}",
                "remedy": "see the log of the service",
            }
        return ScanError(f"{scan.name}, sent to {self.url}", **texts)

    def _not_a_service(self, found: str) -> ModelError:
        return ModelError(
            self.url,
            expected="a model that `slicewise serve` serves",
            found=found,
            remedy="start it with `slicewise serve MODEL`, or correct the address and port",
        )


def _require_address(url: str) -> None:
    if re.match(r"https?://[^/\s]", url):
        return
    corrected = with_scheme(url.strip())
    port = "" if not corrected or re.search(r":\d+", url) else ", with its port after a colon"
    raise UsageError(
        f"`endpoint` {url}".rstrip(),
        expected="an address that begins with http:// or https://, and a host",
        found=url.strip() or "an empty text",
        remedy=f"write {corrected or _EXAMPLE}{port}; `slicewise serve` shows the address",
    )


def _encoded(scan: Volume) -> str:
    # Rewritten, as the original header may hold free text about the patient.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.nii.gz"
        write_volume(scan, path)
        return base64.b64encode(path.read_bytes()).decode("ascii")


def _mask(content: bytes, scan: Volume) -> Volume:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.nii.gz"
        path.write_bytes(content)
        mask = read_nifti(path)
    require_same_grid(scan, mask, tolerance_voxels=1e-3)
    return scan.with_voxels(mask.voxels)


def _confidence(
    name: str, volume_ml: float, sure: dict[str, Any], scan: Volume
) -> StructureConfidence:
    figures = (math.nan if sure[key] is None else float(sure[key]) for key in _FIGURES)
    sizes = (volume_ml, math.nan)
    if not scan.spacing_is_known:
        # NIfTI always has a spacing, and pictures were sent as NIfTI.
        sizes = (math.nan, round(volume_ml / scan.voxel_volume_ml))
    return StructureConfidence(name, *sizes, *figures)


def _unlikeness(answer: dict[str, Any]) -> Unlikeness:
    score = answer["unlikeness"]
    reasons = tuple(str(reason) for reason in answer["reasons"])
    return Unlikeness(math.nan if score is None else float(score), reasons)


def _problem(error: requests.RequestException) -> str:
    if isinstance(error, ValueError):
        # Of requests, too: InvalidURL and its kin.
        return "no address of a service"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection, or one that broke off"
    return "no answer"
