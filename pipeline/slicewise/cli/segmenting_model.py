"""A model as the command line names it in, whether it lies here or is served, what segments out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from slicewise.cli.console import note
from slicewise.cli.out_of_fold import Checkpoints, unseen_by
from slicewise.cli.steps import model_files
from slicewise.config import Config, as_yaml, parse_config
from slicewise.errors import ScanError, UsageError
from slicewise.evaluation.inference_tuning.inference_file import INFERENCE
from slicewise.imaging.files import sha256_of
from slicewise.imaging.volume import Volume
from slicewise.segmentation.confidence import StructureConfidence, structure_confidences
from slicewise.segmentation.inference import Predictor, ProgressCallback
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.serving.client import RemoteModel

_OPEN_KEYS = ("reading.", "data.missing_contrasts=", "inference.slice_exclusive=")
"""Begin what a prediction may decide anew."""


@dataclass(frozen=True)
class Segmented:
    """What a model says about a scan.

    Attributes:
        mask: label values on the scan's grid.
        probabilities: background, then each structure; none from a served model.
        confidences: how sure it is of each structure.
    """

    mask: Volume
    probabilities: tuple[Volume, ...]
    confidences: list[StructureConfidence]


class SegmentingModel(Protocol):
    """What makes masks, here or elsewhere."""

    @property
    def config(self) -> Config:
        """Contrasts, structures, and how faults of scans are met."""

    def segment(
        self, name: str, contrasts: Sequence[Volume], on_share: ProgressCallback
    ) -> Segmented:
        """Segment a scan.

        Args:
            name: of the scan, which tells some models who is to segment it.
            contrasts: one volume a contrast.
            on_share: follows the work, as far as it is done in this process.
        """


@dataclass(frozen=True)
class LocalModel:
    """Networks of this process."""

    predictor: Predictor

    @property
    def config(self) -> Config:
        """Of the networks."""
        return self.predictor.config

    def segment(
        self, _name: str, contrasts: Sequence[Volume], on_share: ProgressCallback
    ) -> Segmented:
        """Segment a scan, one volume a contrast."""
        found = self.predictor.predict_with_probabilities(*contrasts, on_share=on_share)
        confidences = structure_confidences(found.mask, found.probabilities, self.config)
        return Segmented(found.mask, found.probabilities, confidences)


@dataclass(frozen=True)
class OutOfFoldModel:
    """Networks, each of which predicts only cases that it has not learned from.

    Attributes:
        unseen_by: name of each case to the networks whose folds held it out, one a model.
        load: makes one model of such networks.
        loaded: those that were needed so far.
    """

    unseen_by: Mapping[str, Checkpoints]
    load: Callable[[Checkpoints], Predictor]
    loaded: dict[Checkpoints, LocalModel] = field(default_factory=dict, init=False)

    @property
    def config(self) -> Config:
        """Of the first networks; all name the same structures."""
        return self._of(next(iter(self.unseen_by.values()))).config

    def segment(
        self, name: str, contrasts: Sequence[Volume], on_share: ProgressCallback
    ) -> Segmented:
        """Segment a held-out case, one volume a contrast.

        Raises:
            ScanError: no fold held it out.
        """
        if name not in self.unseen_by:
            raise ScanError(
                name,
                expected="a case that every model held out in a fold",
                found=f"none of these {len(self.unseen_by)}",
                remedy="no network has learned from other scans: predict it without --out-of-fold",
            )
        return self._of(self.unseen_by[name]).segment(name, contrasts, on_share)

    def _of(self, networks: Checkpoints) -> LocalModel:
        if networks not in self.loaded:
            self.loaded[networks] = LocalModel(self.load(networks))
        return self.loaded[networks]


@dataclass(frozen=True)
class ServedElsewhere:
    """A model of another process."""

    remote: RemoteModel

    @property
    def config(self) -> Config:
        """As the service tells it."""
        return self.remote.config

    def segment(
        self, _name: str, contrasts: Sequence[Volume], _on_share: ProgressCallback
    ) -> Segmented:
        """Segment a scan, one volume a contrast."""
        mask, confidences = self.remote.segment(contrasts)
        return Segmented(mask, (), confidences)


def model_and_input(
    arguments: Sequence[str],
    endpoint: str | None,
    local_options: Mapping[str, Sequence[str]],
    work: Path,
) -> tuple[SegmentingModel, Path]:
    """What segments, and what is to be segmented.

    Args:
        arguments: MODEL and INPUT; INPUT alone with an endpoint.
        endpoint: address of a served model.
        local_options: name to values of what only a model of this process follows: ``--set`` and
            ``--also``, and switches, such as ``--out-of-fold``, which have a value where they are
            on.
        work: whose store is asked.

    Raises:
        UsageError: an argument too few or too many, or an option that a served model cannot follow.
        ModelError, CheckpointError: no such model, or a damaged one.
    """
    wanted = ("INPUT",) if endpoint else ("MODEL", "INPUT")
    if len(arguments) != len(wanted):
        raise UsageError(
            "predict " + " ".join(arguments),
            expected=" ".join(wanted) + (" with --endpoint" if endpoint else ""),
            found=f"{len(arguments)} arguments",
            remedy="see `slicewise predict --help`",
        )
    source = Path(arguments[-1])
    if endpoint is None:
        overrides, also = (local_options.get(name, ()) for name in ("--set", "--also"))
        if local_options.get("--out-of-fold"):
            return out_of_fold_model((arguments[0], *also), overrides, work), source
        return LocalModel(predictor_of(arguments[0], overrides, work, also)), source
    for name, values in local_options.items():
        if values:
            raise UsageError(
                f"{name} with --endpoint",
                expected="options that a served model follows: --out, --format, --identity",
                found=name,
                remedy="leave it out, or predict with the model itself",
            )
    return ServedElsewhere(RemoteModel(endpoint)), source


def predictor_of(
    model: str, overrides: Sequence[str], work: Path, also: Sequence[str] = ()
) -> Predictor:
    """The model, with the faults of scans met as the command line says.

    The folder of all folds makes masks as its held-out cases have chosen.

    Args:
        model: a folder, a checkpoint, a run id or ``models:/`` address.
        overrides: of the section ``reading``, and whether contrasts may be missing.
        work: whose store is asked.
        also: further models, which join as an ensemble; what the first has chosen holds for all.

    Raises:
        UsageError: an override of another key, or one network named twice.
        ModelError, CheckpointError: an argument leads to no sound model, or to one of another task.
        ConfigErrors: what was chosen is damaged, or about other structures.
    """
    _require_open(overrides)
    files = [(name, model_files(name, work)) for name in (model, *also)]
    paths = [(name, path) for name, item in files for path in item.members]
    if also:
        _require_different(paths)
    predictor = ModelFiles(tuple(path for _, path in paths), files[0][1].inference).load()
    for name, item in files[1:]:
        if item.inference is not None:
            note(f"of {name}, {INFERENCE} is not followed: {model} decides for the ensemble")
    _note_mirroring(predictor)
    return _as_asked(predictor, model, overrides)


def out_of_fold_model(
    models: Sequence[str], overrides: Sequence[str], work: Path
) -> OutOfFoldModel:
    """Models that predict each case by the networks of the folds that held it out.

    What held-out cases chose together is not followed: they would have a say in their own masks.

    Args:
        models: folders or run ids of trainings; several join as an ensemble.
        overrides: as ``predictor_of`` takes them.
        work: whose store is asked.

    Raises:
        UsageError: an override of another key, or one network named twice.
        DataError, ModelError: no such trainings, or no case that all of them held out.
    """
    _require_open(overrides)
    networks = unseen_by(models, work)
    _require_different(list(zip(models, next(iter(networks.values())), strict=True)))
    return OutOfFoldModel(
        networks,
        lambda paths: _as_asked(Predictor.from_checkpoint(*paths), models[0], overrides),
    )


def _require_open(overrides: Sequence[str]) -> None:
    """Refuse to change what a model was trained with."""
    foreign = [text for text in overrides if not text.startswith(_OPEN_KEYS)]
    if foreign:
        raise UsageError(
            f"--set {foreign[0]}",
            expected="a key of the section reading, data.missing_contrasts or "
            "inference.slice_exclusive: a model keeps what it was trained with",
            found=foreign[0].partition("=")[0],
            remedy="leave it out, or train with it",
        )


def _as_asked(predictor: Predictor, model: str, overrides: Sequence[str]) -> Predictor:
    """The same networks that meet the faults of scans as the command line says."""
    if not overrides:
        return predictor
    config = parse_config(as_yaml(predictor.config), model, list(overrides))
    _note_missing(predictor.config, config)
    return Predictor(config, predictor.members, predictor.device)


def _note_mirroring(predictor: Predictor) -> None:
    """Say so where networks are shown mirror images that they have not learned from."""
    wanted = set(predictor.config.inference.mirror_axes)
    learned = [set(member.config.augmentation.mirror_axes) for member in predictor.members]
    if strangers := sum(not wanted <= axes for axes in learned):
        note(
            f"scans are mirrored along {', '.join(sorted(wanted))}, which the training of "
            f"{strangers} of {len(learned)} networks has not seen: such masks may be worse"
        )


def _note_missing(trained: Config, asked: Config) -> None:
    """Say so where a model is shown less than it was trained with."""
    policies = (trained.data.missing_contrasts, asked.data.missing_contrasts)
    if policies == ("refuse", "zero") and trained.augmentation.contrast_dropout_probability == 0:
        note(
            "the model has never seen a scan without a contrast "
            "(augmentation.contrast_dropout_probability is 0): look at such masks with care"
        )


def _require_different(paths: Sequence[tuple[str, Path]]) -> None:
    """Refuse a network that would count twice in the mean."""
    known: dict[str, str] = {}
    for name, path in paths:
        digest = sha256_of(path)
        if digest in known:
            raise UsageError(
                f"--also {name}",
                expected="networks that differ from one another",
                found=f"one that {known[digest]} holds, too",
                remedy="leave it out; it would count twice",
            )
        known[digest] = name
