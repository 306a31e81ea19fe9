"""A trained model in, a registered model that loads anywhere out."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import nibabel as nib
import numpy as np

import slicewise
from slicewise.errors import ModelError
from slicewise.tracking.packing import PACKED, ModelFiles, pack_model
from slicewise.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.models import Model

CHAMPION = "champion"
"""Alias of the version that predicts."""
CHALLENGER = "challenger"
"""Alias of the newest version that waits for a comparison."""
ANSWER = ("mask", "volumes_ml", "confidence")
"""Columns of what is served: a ``.nii.gz`` in base64, and JSON by structure."""
PREVIOUS = "previous"
"""Alias of the champion before."""

# What the served model imports; the package itself travels with it.
_REQUIREMENTS = (
    *("mlflow", "torch", "monai", "nibabel", "numpy", "pandas", "pebble", "pydantic", "pydicom"),
    *("psutil", "filelock", "pyyaml", "scikit-learn", "scipy", "SimpleITK"),
)


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of a registered model and the alias that it was given."""

    name: str
    version: int
    alias: str

    @property
    def uri(self) -> str:
        """Address that always means this version."""
        return f"models:/{self.name}/{self.version}"


class RegisteringRun(Protocol):
    """A run that is in its store."""

    @property
    def store(self) -> Store:
        """That keeps it."""

    @property
    def run_id(self) -> str:
        """MLflow's identifier."""

    @property
    def experiment_id(self) -> str:
        """The experiment that holds it."""


def register_model(
    run: RegisteringRun,
    files: ModelFiles,
    model_name: str,
    *,
    card: str,
    contrasts: Sequence[str] = ("image",),
    example: bytes | None = None,
    tags: Mapping[str, str] | None = None,
) -> RegisteredVersion:
    """Store a model so that it can be served, and register it.

    Args:
        run: the training that it comes from.
        files: networks, and how masks are made of their probabilities.
        model_name: registered model; its first version becomes ``champion``, others
            ``challenger``.
        card: Markdown about the model; travels inside of it and describes the version.
        contrasts: of the configuration; a single one is served as column ``nifti``, several as
            ``nifti_`` and their names.
        example: a small ``.nii.gz`` file that shows the input; a synthetic one if not given.
        tags: facts about the version, such as its score.

    Raises:
        ModelError: the registry refuses the name.
        ModelError, CheckpointError: a member is missing or damaged.
    """
    from mlflow.exceptions import MlflowException

    _ensure_registered_name(run.store, model_name)
    logged = _log_model(run, model_name, files, card, input_example(contrasts, example))
    client = run.store.client
    try:
        created = client.create_model_version(
            model_name,
            # The location, not models:/ and an id: the registry would look the id up in MLflow's
            # default store.
            source=logged.artifact_location,
            run_id=run.run_id,
            model_id=logged.model_id,
            tags=dict(tags or {}),
            description=card,
        )
    except MlflowException as error:
        raise _refused(model_name, error) from error
    number = int(created.version)
    champion = CHAMPION in client.get_registered_model(model_name).aliases
    alias = CHALLENGER if champion else CHAMPION
    client.set_registered_model_alias(model_name, alias, str(number))
    return RegisteredVersion(model_name, number, alias)


def input_example(contrasts: Sequence[str], example: bytes | None = None) -> dict[str, str]:
    """Column of each contrast to a small ``.nii.gz`` file in base64."""
    columns = [f"nifti_{name}" for name in contrasts] if len(contrasts) > 1 else ["nifti"]
    text = base64.b64encode(example or synthetic_example()).decode("ascii")
    return dict.fromkeys(columns, text)


def synthetic_example() -> bytes:
    """A small ``.nii.gz`` file with a smooth blob, bright off its centre."""
    i, j, k = np.meshgrid(*[np.linspace(-1, 1, size) for size in (40, 36, 12)], indexing="ij")
    blob = 1000 * np.exp(-4 * ((i - 0.2) ** 2 + (j + 0.1) ** 2 + k**2))
    image = nib.Nifti1Image(blob.astype(np.float32), np.diag([1.0, 1.0, 3.0, 1.0]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.nii.gz"
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
    run: RegisteringRun, model_name: str, files: ModelFiles, card: str, example: Mapping[str, str]
) -> LoggedModel:
    """Save beside, upload once, and only then mark as ready.

    MLflow's own ``log_model`` does the same, but needs global settings and runs the model on the
    example, which a training should not wait for.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.entities.logged_model_status import LoggedModelStatus
    from mlflow.models import Model

    client = run.store.client
    logged = client.create_logged_model(
        run.experiment_id, name=model_name, source_run_id=run.run_id
    )
    identity = Model(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
        run_id=logged.source_run_id,
    )
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "saved"
        save_servable(saved, files, card, example, identity)
        client.log_model_artifacts(logged.model_id, str(saved))
    client.log_outputs(run.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)


def save_servable(
    folder: Path,
    files: ModelFiles,
    card: str,
    example: Mapping[str, str],
    identity: Model | None = None,
) -> None:
    """Write a folder that ``mlflow.pyfunc`` loads and ``mlflow models serve`` serves.

    Args:
        folder: does not exist yet.
        files: networks, and how masks are made of their probabilities.
        card: Markdown about the model.
        example: column to text, see ``input_example``.
        identity: of a logged model; None makes a new one.
    """
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    # A file, or its path where the server permits that; the model sees to it that one is given.
    columns = [*example, *(name.replace("nifti", "path", 1) for name in example)]
    signature = ModelSignature(
        inputs=Schema([ColSpec("string", column, required=False) for column in columns]),
        outputs=Schema([ColSpec("string", column) for column in ANSWER]),
    )
    with tempfile.TemporaryDirectory() as packed:
        pack_model(files, card, Path(packed) / PACKED)
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={PACKED: str(Path(packed) / PACKED)},
            code_paths=[str(Path(slicewise.__file__).parent)],
            # Named here, because finding them out would run the model.
            pip_requirements=requirements(),
            signature=signature,
            input_example=pd.DataFrame([example]),
            mlflow_model=identity,
        )


def requirements() -> list[str]:
    """The installed versions of what the served model imports."""
    # The part after '+' names a build, such as cpu, that other machines may lack.
    return [f"{name}=={version(name).partition('+')[0]}" for name in _REQUIREMENTS]


def _refused(model_name: str, error: Exception) -> ModelError:
    return ModelError(
        f"model {model_name}",
        expected="a name that the registry takes",
        found=str(error).splitlines()[0],
        remedy="set tracking.model_name to letters, digits, dots, dashes and underscores",
    )
