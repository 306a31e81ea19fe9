"""Loads and lists models, and predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slicewise.api.configs import AnyPath
from slicewise.progress import SILENT, Progress
from slicewise.workflows import models
from slicewise.workflows import predict as predicting
from slicewise.workflows import promote as promoting
from slicewise.workflows.model import Model
from slicewise.workflows.predict import PredictionResult

if TYPE_CHECKING:
    import pandas as pd


def load_model(
    model: AnyPath | None = None,
    *,
    also: Sequence[AnyPath] = (),
    settings: Sequence[str] = (),
    out_of_fold: bool = False,
    endpoint: str | None = None,
    work: AnyPath = "work",
    progress: Progress = SILENT,
) -> Model:
    """Load a model that segments scans.

    Args:
        model: folder or checkpoint of a training, a run id, or ``models:/name@alias``; None with
            an endpoint.
        also: further models; their probabilities are averaged.
        settings: changes of the section ``reading``, of ``data.missing_contrasts`` and
            ``inference.slice_exclusive``; a model keeps everything else.
        out_of_fold: each case is predicted by the networks of the fold that held it out.
        endpoint: address of a model that ``slicewise serve`` serves.
        work: work folder whose store is asked for run ids and ``models:/`` addresses.
        progress: receives sentences about what makes masks worse.

    Raises:
        ModelError, CheckpointError: no such model, a damaged one, or one of another task.
        UsageError: settings that a model does not take.

    Example:
        >>> model = slicewise.load_model("my_model")
        >>> mask = model.predict("my_scans/images/case0.nii.gz")
        >>> mask.shape
        (22, 19, 5)
        >>> [probability.shape for probability in mask.probabilities]
        [(22, 19, 5), (22, 19, 5)]
        >>> list(mask.confidence.index)
        ['core']
    """
    options = _model_options(model, also, settings, out_of_fold, endpoint, work)
    return Model(models.load_segmenter(options, progress))


def predict(
    model: AnyPath | None,
    source: AnyPath,
    out: AnyPath,
    *,
    also: Sequence[AnyPath] = (),
    settings: Sequence[str] = (),
    out_of_fold: bool = False,
    endpoint: str | None = None,
    format: Literal["nifti", "seg-nrrd", "dicom-seg"] = "nifti",
    identity: Literal["pseudonym", "source", "remap"] | None = None,
    probabilities: bool = False,
    uncertainty: bool = False,
    refuse_unlike: bool = False,
    overwrite: bool = False,
    work: AnyPath = "work",
    workers: int | str | None = None,
    progress: Progress = SILENT,
) -> PredictionResult:
    """Write the mask of each scan on the scan's own grid.

    Args:
        model: see ``load_model``; None with an endpoint.
        source: a scan, a folder of scans or of DICOM, a data set.
        out: folder of the masks, or the one file for one scan.
        also: see ``load_model``.
        settings: see ``load_model``.
        out_of_fold: see ``load_model``.
        endpoint: see ``load_model``.
        format: of the masks; the mask of a picture is a picture.
        identity: what a DICOM SEG says of the patient; None takes the pseudonym.
        probabilities: write ``NAME_probabilities.nii.gz`` as well.
        uncertainty: write ``NAME_uncertainty.nii.gz`` as well, 0 to 1.
        refuse_unlike: write no mask of a scan that is unlike those of the training; ``unlike`` of
            the result names them otherwise.
        overwrite: replace files of others or changed by hand, and remove masks of another model.
        work: the work folder.
        workers: processes that predict a scan each, or the address of a Dask cluster; None predicts
            in this process, with all cores or the GPU.
        progress: receives the progress.

    Raises:
        ModelError, CheckpointError: no such model, or a damaged one.
        ScanError: no scan, or the only one cannot be predicted; of several, those that cannot are
            in ``set_aside``.
        UsageError: options that contradict each other.
        OutputError: a mask cannot be written, or would replace a file of others or an input.

    Example:
        >>> done = slicewise.predict("my_model", "my_scans/images", "masks")
        >>> len(done.masks), done.set_aside
        (6, ())
        >>> sorted(done.table.columns)[:2]
        ['estimated_dice', 'predicted_dice']
    """
    options = predicting.PredictOptions(
        _model_options(model, also, settings, out_of_fold, endpoint, work),
        Path(source),
        Path(out),
        format,
        identity,
        probabilities,
        uncertainty,
        refuse_unlike,
        overwrite,
        workers,
    )
    return predicting.predict(options, progress)


def list_models(model_name: str | None = None, *, work: AnyPath = "work") -> pd.DataFrame:
    """The versions of registered models, the newest of each model first.

    Args:
        model_name: of a registered model; None lists all.
        work: work folder whose store is asked.

    Returns:
        One row per version: ``name``, ``version``, ``aliases`` such as ``champion``, ``dice`` (mean
        Dice of its held-out cases), ``folds``, the day it was ``registered``, and its ``run_id``.

    Raises:
        ModelError: no model of that name.

    Example:
        >>> versions = slicewise.list_models()
        >>> versions.loc[0, "aliases"]
        ('champion',)
    """
    import pandas as pd

    rows = promoting.list_models(promoting.ListModelsOptions(model_name, work=Path(work)))
    return pd.DataFrame([asdict(row) for row in rows])


def _model_options(
    model: AnyPath | None,
    also: Sequence[AnyPath],
    settings: Sequence[str],
    out_of_fold: bool,
    endpoint: str | None,
    work: AnyPath,
) -> models.ModelOptions:
    name = "" if model is None else str(model)
    others = tuple(str(other) for other in also)
    return models.ModelOptions(name, others, tuple(settings), out_of_fold, endpoint, Path(work))
