"""Trains models, loads them, and predicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from slicewise.api.configs import AnyPath, ConfigLike, as_config, file_of, optional_path
from slicewise.progress import SILENT, Progress
from slicewise.workflows import baseline as fitting
from slicewise.workflows import models
from slicewise.workflows import predict as predicting
from slicewise.workflows import prepare as preparing
from slicewise.workflows import train as training
from slicewise.workflows.baseline import BaselineResult
from slicewise.workflows.model import Model
from slicewise.workflows.predict import PredictionResult
from slicewise.workflows.prepare import PreparedData
from slicewise.workflows.train import TrainingResult


def prepare(
    config: ConfigLike,
    *,
    settings: Sequence[str] = (),
    work: AnyPath = "work",
    workers: int | None = None,
    progress: Progress = SILENT,
) -> PreparedData:
    """Turn the scans of a data set into normalised slices; finished scans are never done twice.

    ``train`` does the same where it is needed.

    Args:
        config: a configuration, or the path of a YAML file.
        settings: changes of it, such as ``preprocessing.plane=axial``.
        work: folder of the slice cache.
        workers: scans at a time; None takes as many as there are cores.
        progress: receives the progress.

    Raises:
        ConfigErrors: mistakes in the configuration, all at once.
        DataError: the data set is unusable as a whole.

    Example:
        >>> data = slicewise.prepare("mine.yaml")
        >>> len(data.cases), data.slices
        (6, 30)
    """
    options = preparing.PrepareOptions(as_config(config, settings), Path(work), workers)
    return preparing.prepare_data(options, progress)


def train(
    config: ConfigLike,
    *,
    out: AnyPath | None = None,
    fold: int | Literal["all"] = 0,
    settings: Sequence[str] = (),
    resume: bool = False,
    overwrite: bool = False,
    initial: AnyPath | None = None,
    work: AnyPath = "work",
    workers: int | None = None,
    progress: Progress = SILENT,
) -> TrainingResult:
    """Train, score the held-out patients on their own grids, track the run, register the model.

    Args:
        config: a configuration, or the path of a YAML file.
        out: folder of the model; None takes one below the work folder.
        fold: number of the fold that is held out, or ``all`` to train every fold, after which the
            inference of their ensemble is tuned on the held-out cases.
        settings: changes of the configuration, such as ``training.budget_minutes=5``.
        resume: continue the training that lies in ``out``.
        overwrite: replace a training that lies in ``out``.
        initial: model whose weights the training starts from: a folder or checkpoint, a run id or
            ``models:/name@alias``.
        work: folder of slice cache, private records and tracking store.
        workers: scans at a time; None takes as many as there are cores.
        progress: receives the progress.

    Raises:
        ConfigErrors: mistakes in the configuration, all at once.
        UsageError: no such fold, or an initial model of several networks.
        OutputError: ``out`` holds something else.
        TrainingError: the training cannot go on; the last checkpoint is intact.
        InterruptedBySignal: a signal ended the training after its state had been saved.

    Example:
        >>> run = slicewise.train("mine.yaml", out="my_model", settings=["training.steps=8"])
        >>> 0 <= run.mean_dice.mean <= 1
        True
        >>> list(run.scores.columns[:3])
        ['case', 'patient', 'structure']
        >>> list(run.summary.index)
        ['core']
    """
    options = training.TrainOptions(
        as_config(config, settings),
        None if fold == "all" else fold,
        optional_path(out),
        Path(work),
        workers,
        resume,
        overwrite,
        None if initial is None else str(initial),
        file_of(config),
    )
    return training.train(options, progress)


def baseline(
    config: ConfigLike,
    *,
    out: AnyPath | None = None,
    fold: int = 0,
    settings: Sequence[str] = (),
    overwrite: bool = False,
    work: AnyPath = "work",
    workers: int | None = None,
    progress: Progress = SILENT,
) -> BaselineResult:
    """Fit thresholds, morphology and a prior where a network would be, and score them alike.

    It needs OpenCV, which the extra ``baseline`` brings.

    Args:
        config: contrasts, structures, preprocessing and folds; its network is not used.
        out: folder of the results; None takes one below the work folder.
        fold: number of the fold that is held out.
        settings: changes of the configuration.
        overwrite: replace a baseline that lies in ``out``.
        work: folder of slice cache, private records and tracking store.
        workers: processes; None takes as many as there are cores.
        progress: receives the progress.

    Raises:
        OutputError: ``out`` holds a network or another baseline.
        DataError: no usable case on one side of the fold.

    Example:
        >>> classical = slicewise.baseline("mine.yaml", out="my_baseline")
        >>> list(classical.summary.index)
        ['core']
    """
    options = fitting.BaselineOptions(
        as_config(config, settings), fold, optional_path(out), Path(work), workers, overwrite
    )
    return fitting.fit_baseline(options, progress)


def load_model(
    model: AnyPath = "",
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
        model: folder or checkpoint of a training, a run id, or ``models:/name@alias``; empty with
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
    model: AnyPath,
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
    work: AnyPath = "work",
    progress: Progress = SILENT,
) -> PredictionResult:
    """Write the mask of each scan on the scan's own grid.

    Args:
        model: see ``load_model``; empty with an endpoint.
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
        work: the work folder.
        progress: receives the progress.

    Raises:
        ModelError, CheckpointError: no such model, or a damaged one.
        ScanError: no scan, or the only one cannot be predicted; of several, those that cannot are
            in ``set_aside``.
        UsageError: options that contradict each other.
        OutputError: a mask cannot be written.

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
    )
    return predicting.predict(options, progress)


def _model_options(
    model: AnyPath,
    also: Sequence[AnyPath],
    settings: Sequence[str],
    out_of_fold: bool,
    endpoint: str | None,
    work: AnyPath,
) -> models.ModelOptions:
    others = tuple(str(other) for other in also)
    return models.ModelOptions(
        str(model), others, tuple(settings), out_of_fold, endpoint, Path(work)
    )
