"""Loads models: networks of this process, of a cross-validation, or behind an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from slicewise.config import Config, as_yaml, parse_config
from slicewise.errors import ModelError, ScanError, UsageError
from slicewise.evaluation.inference_tuning.inference_file import INFERENCE, inference_file
from slicewise.imaging.files import sha256_of
from slicewise.imaging.own_files import was_edited
from slicewise.imaging.volume import Volume
from slicewise.progress import SILENT, Progress, Task
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.prediction import UNWATCHED, Prediction, Segmenter, model_mark
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.run_index import find_model, find_run
from slicewise.tracking.serving.client import RemoteModel

_OPEN_KEYS = ("reading.", "data.missing_contrasts=", "inference.slice_exclusive=")
"""Begin the settings that a prediction may change."""
Checkpoints = tuple[Path, ...]
"""One a model, of networks that predict together."""


@dataclass(frozen=True)
class ModelOptions:
    """Which model to load.

    Attributes:
        model: a folder or checkpoint of a training, a run id or ``models:/name@alias``; empty
            with an endpoint.
        also: further models; all predict together, and the first decides how masks are made.
        settings: ``key=value`` of the section ``reading``, of ``data.missing_contrasts`` and
            ``inference.slice_exclusive``; a model keeps everything else.
        out_of_fold: each case is predicted by the networks of the fold that held it out.
        endpoint: address of a model that ``slicewise serve`` serves.
        work: whose store is asked.
    """

    model: str = ""
    also: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    out_of_fold: bool = False
    endpoint: str | None = None
    work: Path = Path("work")


def load_segmenter(options: ModelOptions, progress: Progress = SILENT) -> Segmenter:
    """The model that the options name.

    Args:
        options: which model.
        progress: receives sentences about what makes masks worse.

    Raises:
        UsageError: no model is named, a setting of another key, one network named twice, or an
            option that a served model cannot follow.
        ModelError, CheckpointError: no such model, a damaged one, or one of another task.
        ConfigErrors: the tuned inference is damaged, or about other structures.
    """
    if options.endpoint is not None:
        _require_followed(options)
        return RemoteModel(options.endpoint)
    if not options.model:
        raise UsageError(
            "`model`",
            expected="a folder or checkpoint of a training, a run id, or models:/name@alias",
            found="neither a model nor an `endpoint`",
            remedy="name one of them",
        )
    _require_open(options.settings)
    if options.out_of_fold:
        return _out_of_fold(options, progress)
    return load_predictor(options, progress)


@dataclass(frozen=True)
class OutOfFoldModel:
    """Networks, each of which predicts only cases that it was not trained on.

    Attributes:
        networks: name of each case to the networks whose folds held it out, one a model.
        load: makes one model of such networks.
        loaded: those that were needed so far.
    """

    networks: Mapping[str, Checkpoints]
    load: Callable[[Checkpoints], Predictor]
    loaded: dict[Checkpoints, Predictor] = field(default_factory=dict, init=False)

    @property
    def config(self) -> Config:
        """Of the first networks; all name the same structures."""
        return self._of(next(iter(self.networks.values()))).config

    @cached_property
    def made_by(self) -> str:
        """See ``Segmenter``."""
        paths = dict.fromkeys(path for item in self.networks.values() for path in item)
        return model_mark(self.config, *map(sha256_of, paths))

    def predict(self, *contrasts: Volume, case: str = "", task: Task = UNWATCHED) -> Prediction:
        """Segment a held-out case; see ``Segmenter``.

        Raises:
            ScanError: no fold held it out.
        """
        if case not in self.networks:
            raise ScanError(
                case,
                expected="a case that every model held out in a fold",
                found=f"a case that is not among these {len(self.networks)}",
                remedy="predict it without `out_of_fold`: no network was trained on it",
            )
        return self._of(self.networks[case]).predict(*contrasts, case=case, task=task)

    def _of(self, networks: Checkpoints) -> Predictor:
        if networks not in self.loaded:
            self.loaded[networks] = self.load(networks)
        return self.loaded[networks]


def load_predictor(options: ModelOptions, progress: Progress = SILENT) -> Predictor:
    """Networks of this process; see ``load_segmenter``."""
    names = (options.model, *options.also)
    files = [(name, find_model(name, options.work)) for name in names]
    paths = [(name, path) for name, item in files for path in item.members]
    if options.also:
        _require_different(paths)
    tuned = files[0][1].inference
    predictor = ModelFiles(tuple(path for _, path in paths), tuned).load()
    if tuned is not None and was_edited(inference_file(tuned).text()):
        progress.message(f"{tuned} was edited by hand; masks are made as it says")
    for name, item in files[1:]:
        if item.inference is not None:
            progress.message(
                f"{INFERENCE} of {name} is not used: the ensemble uses that of {options.model}"
            )
    _warn_of_mirroring(predictor, progress)
    return _with_settings(predictor, options, progress)


def _out_of_fold(options: ModelOptions, progress: Progress) -> OutOfFoldModel:
    """What was tuned on held-out cases is not followed: they would have a say in their masks."""
    names = (options.model, *options.also)
    found = [_held_out(find_run(name, options.work).folder, progress) for name in names]
    shared = [case for case in found[0] if all(case in other for other in found[1:])]
    if not shared:
        raise ModelError(
            " and ".join(names),
            expected="folds that held out the same cases",
            found="no case that all of them held out",
            remedy="give the folders of `slicewise train --fold all` on one data set",
        )
    networks = {case: tuple(cases[case] for cases in found) for case in shared}
    _require_different(list(zip(names, next(iter(networks.values())), strict=True)))
    return OutOfFoldModel(
        networks,
        lambda paths: _with_settings(Predictor.from_checkpoint(*paths), options, progress),
    )


def _held_out(folder: Path, progress: Progress) -> dict[str, Path]:
    """Each case that a fold of a training held out, to the network of the fold."""
    known: dict[str, Path] = {}
    for fold in RunFolder(folder).results():
        (checkpoint,) = RunFolder(fold.folder).checkpoints()
        known |= {score.case: checkpoint for score in fold.scores}
        if fold.facts and fold.facts.shared_patients:
            progress.message(
                f"{fold.folder}: {fold.facts.folds}; {fold.facts.shared_patients} patients in both "
                "training and held-out cases: scores of these masks are optimistically biased"
            )
    return known


def _require_followed(options: ModelOptions) -> None:
    """Refuse options that a served model cannot follow."""
    asked = {
        "model": options.model,
        "also": options.also,
        "settings": options.settings,
        "out_of_fold": options.out_of_fold,
    }
    for name, value in asked.items():
        if value:
            raise not_followed(name)


def not_followed(option: str) -> UsageError:
    """The error for an option that a served model cannot follow."""
    return UsageError(
        f"`{option}` with `endpoint`",
        expected="options that a served model follows: `out`, `format`, `identity`",
        found=f"`{option}`",
        remedy="leave it out, or predict with the model itself",
    )


def _require_open(settings: Sequence[str]) -> None:
    """Refuse to change what a model was trained with."""
    foreign = [text for text in settings if not text.startswith(_OPEN_KEYS)]
    if foreign:
        raise UsageError(
            f"`settings` {foreign[0]}",
            expected="a key of the section reading, data.missing_contrasts or "
            "inference.slice_exclusive: a model keeps what it was trained with",
            found=foreign[0].partition("=")[0],
            remedy="leave it out, or train with it",
        )


def _with_settings(predictor: Predictor, options: ModelOptions, progress: Progress) -> Predictor:
    """The same networks that read scans as the settings say."""
    if not options.settings:
        return predictor
    config = parse_config(
        as_yaml(predictor.config), options.model, list(options.settings), trained=True
    )
    policies = (predictor.config.data.missing_contrasts, config.data.missing_contrasts)
    if policies == ("refuse", "zero") and config.augmentation.contrast_dropout_probability == 0:
        progress.message(
            "the model was never trained on a scan without a contrast "
            "(augmentation.contrast_dropout_probability is 0): check such masks with care"
        )
    return Predictor(config, predictor.members, predictor.device)


def _warn_of_mirroring(predictor: Predictor, progress: Progress) -> None:
    """Say so where networks are shown mirror images that they were not trained on."""
    wanted = set(predictor.config.inference.mirror_axes)
    learned = [set(member.config.augmentation.mirror_axes) for member in predictor.members]
    if strangers := sum(not wanted <= axes for axes in learned):
        progress.message(
            f"scans are mirrored along {', '.join(sorted(wanted))}, which {strangers} of "
            f"{len(learned)} networks were not trained with: such masks may be worse"
        )


def _require_different(paths: Sequence[tuple[str, Path]]) -> None:
    """Refuse a network that would count twice in the mean."""
    known: dict[str, str] = {}
    for name, path in paths:
        digest = sha256_of(path)
        if digest in known:
            raise UsageError(
                f"`also` {name}",
                expected="networks that differ from one another",
                found=f"one that {known[digest]} contains, too",
                remedy="leave it out; it would count twice",
            )
        known[digest] = name
