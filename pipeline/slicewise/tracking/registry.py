"""Registers trained models so that they load and serve without this project installed."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import nibabel as nib
import numpy as np

import slicewise
from slicewise.errors import ModelError
from slicewise.imaging.files import temporary_folder
from slicewise.tracking.aliases import ensure_alias
from slicewise.tracking.packing import ANSWER, PACKED, ModelFiles, pack_model
from slicewise.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import Model

CONTENT_TAG = "slicewise.content"
"""Tag with the checksum of a model, by which a run registers it only once."""

# Packages that the served model imports; slicewise itself travels in the model's code folder.
_REQUIREMENTS = (
    *("mlflow", "torch", "monai", "nibabel", "numpy", "pandas", "pydantic", "pydicom"),
    *("psutil", "filelock", "pyyaml", "scikit-learn", "scipy", "SimpleITK"),
)


@dataclass(frozen=True)
class RegisteredVersion:
    """A new version of a registered model, and its alias."""

    name: str
    version: int
    alias: str

    @property
    def uri(self) -> str:
        """Address of this version."""
        return f"models:/{self.name}/{self.version}"


class RegisteringRun(Protocol):
    """A run that its store knows."""

    @property
    def store(self) -> Store:
        """The store."""

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""

    @property
    def experiment_id(self) -> str:
        """MLflow's id of its experiment."""


def register_model(
    run: RegisteringRun,
    files: ModelFiles,
    model_name: str,
    *,
    card: str,
    contrasts: Sequence[str] = ("image",),
    example: bytes | None = None,
    tags: Mapping[str, str] | None = None,
    content: str = "",
) -> RegisteredVersion:
    """Log a model that can be served, and register it.

    Args:
        run: of the training.
        files: of the model.
        model_name: registered model; its first version gets the alias ``champion``, later ones
            ``challenger``.
        card: model card in Markdown; part of the model and description of the version.
        contrasts: of the configuration; a single one is the column ``nifti`` of a request,
            several are the columns ``nifti_NAME``.
        example: a small ``.nii.gz`` file as input example; None takes a synthetic one.
        tags: of the version, such as its Dice.
        content: checksum of the model. A registration of the same content by the same run that
            was interrupted at any point is completed instead of repeated; empty registers anew.

    Raises:
        ModelError: the registry refuses the name.
        ModelError, CheckpointError: a member is missing or damaged.
        StoreError: the store cannot be used.
    """
    from mlflow.exceptions import MlflowException

    client = run.store.client
    registered = _version_of(run, model_name, content)
    if registered is None:
        _ensure_registered_name(run.store, model_name)
        example_rows = input_example(contrasts, example)
        logged = _log_model(run, model_name, files, card, example_rows, content)
        try:
            registered = client.create_model_version(
                model_name,
                # Not models:/ID, which MLflow would look up in its default store.
                source=logged.artifact_location,
                run_id=run.run_id,
                model_id=logged.model_id,
                tags={**(tags or {}), **_content_tag(content)},
                description=card,
            )
        except MlflowException as error:
            raise _refused(model_name, error) from error
    number = int(registered.version)
    return RegisteredVersion(model_name, number, ensure_alias(run.store, model_name, number))


def _content_tag(content: str) -> dict[str, str]:
    return {CONTENT_TAG: content} if content else {}


def _version_of(run: RegisteringRun, model_name: str, content: str) -> ModelVersion | None:
    """The version that an interrupted registration has left."""
    found = run.store.client.search_model_versions(f"run_id='{run.run_id}'") if content else []
    for item in found:
        if item.name == model_name and (item.tags or {}).get(CONTENT_TAG) == content:
            return item
    return None


def input_example(contrasts: Sequence[str], example: bytes | None = None) -> dict[str, str]:
    """Input example of a model: column of each contrast to a ``.nii.gz`` file in base64."""
    columns = [f"nifti_{name}" for name in contrasts] if len(contrasts) > 1 else ["nifti"]
    text = base64.b64encode(example or synthetic_example()).decode("ascii")
    return dict.fromkeys(columns, text)


def synthetic_example() -> bytes:
    """A small ``.nii.gz`` file with a bright, smooth, off-centre blob."""
    i, j, k = np.meshgrid(*[np.linspace(-1, 1, size) for size in (40, 36, 12)], indexing="ij")
    blob = 1000 * np.exp(-4 * ((i - 0.2) ** 2 + (j + 0.1) ** 2 + k**2))
    image = nib.Nifti1Image(blob.astype(np.float32), np.diag([1.0, 1.0, 3.0, 1.0]))
    with temporary_folder() as folder:
        path = folder / "example.nii.gz"
        nib.save(image, path)
        return path.read_bytes()


def _ensure_registered_name(store: Store, model_name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(model_name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise _refused(model_name, error) from error


def _log_model(
    run: RegisteringRun,
    model_name: str,
    files: ModelFiles,
    card: str,
    example: Mapping[str, str],
    content: str,
) -> LoggedModel:
    """Save the model locally, upload it, and only then mark it as ready.

    MLflow's own ``log_model`` needs global settings, and it runs the model on the input example,
    for which a training should not wait.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.entities.logged_model_status import LoggedModelStatus
    from mlflow.models import Model

    client = run.store.client
    logged = _logged_before(run, model_name, content)
    if logged is None:
        logged = client.create_logged_model(
            run.experiment_id,
            name=model_name,
            source_run_id=run.run_id,
            tags=_content_tag(content),
        )
    elif logged.status == LoggedModelStatus.READY:
        return logged
    identity = Model(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
        run_id=logged.source_run_id,
    )
    with temporary_folder() as folder:
        saved = folder / "saved"
        save_servable(saved, files, card, example, identity)
        client.log_model_artifacts(logged.model_id, str(saved))
    outputs = client.get_run(run.run_id).outputs
    known = [] if outputs is None else [item.model_id for item in outputs.model_outputs]
    # MLflow would list it twice.
    if logged.model_id not in known:
        client.log_outputs(run.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)


def _logged_before(run: RegisteringRun, model_name: str, content: str) -> LoggedModel | None:
    """The logged model that an interrupted registration has left."""
    if not content:
        return None
    wanted = f"source_run_id = '{run.run_id}'"
    for logged in run.store.client.search_logged_models([run.experiment_id], wanted):
        if logged.name == model_name and (logged.tags or {}).get(CONTENT_TAG) == content:
            return logged
    return None


def save_servable(
    folder: Path,
    files: ModelFiles,
    card: str,
    example: Mapping[str, str],
    identity: Model | None = None,
) -> None:
    """Write a folder that ``mlflow.pyfunc`` loads and ``mlflow models serve`` serves.

    The package goes into the folder ``code`` of the model, which MLflow puts first on the import
    path. A wheel would have to be built, which an installed copy cannot do, and installed before
    the model loads.

    Args:
        folder: must not exist.
        files: of the model.
        card: model card in Markdown.
        example: input example, see ``input_example``.
        identity: of a logged model; None creates one.
    """
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    # Either the file or its path is required, which the model checks itself.
    columns = [*example, *(name.replace("nifti", "path", 1) for name in example)]
    signature = ModelSignature(
        inputs=Schema([ColSpec("string", column, required=False) for column in columns]),
        outputs=Schema([ColSpec("string", column) for column in ANSWER]),
    )
    with temporary_folder() as packed:
        packages = pack_model(files, card, packed / PACKED)
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={PACKED: str(packed / PACKED)},
            code_paths=[str(Path(slicewise.__file__).parent)],
            # Given explicitly, because MLflow would run the model to infer them.
            pip_requirements=[*requirements(), *packages],
            signature=signature,
            input_example=pd.DataFrame([example]),
            mlflow_model=identity,
        )


def requirements() -> list[str]:
    """Pinned requirements of the served model: the versions installed here."""
    # A local version such as +cpu may not be available to other machines.
    return [f"{name}=={version(name).partition('+')[0]}" for name in _REQUIREMENTS]


def _refused(model_name: str, error: Exception) -> ModelError:
    return ModelError(
        f"model {model_name}",
        expected="a name that the registry accepts",
        found=str(error).splitlines()[0],
        remedy="set tracking.model_name to letters, digits, dots, dashes and underscores",
    )
