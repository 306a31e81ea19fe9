"""The steps of a prediction: the model, what it is asked about, each mask in its place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from pipeline import __version__
from pipeline.cli.console import note
from pipeline.cli.mask_output import (
    MaskFormat,
    MaskOutput,
    path_of,
    probabilities_beside,
    uncertainty_beside,
)
from pipeline.cli.scanning import pseudonyms_of, require_outside, scanning
from pipeline.cli.steps import model_paths
from pipeline.config import Config, as_yaml, parse_config
from pipeline.dataset.catalogue import Images, SetAside
from pipeline.dataset.contrasts import read_contrasts
from pipeline.dataset.layouts import read_images
from pipeline.errors import ScanError, UsageError
from pipeline.evaluation.selection.inference_file import INFERENCE, read_inference
from pipeline.imaging.dicom.seg.identity import Identity, IdentityMode
from pipeline.imaging.dicom.seg.segments import Algorithm
from pipeline.imaging.files import sha256_of
from pipeline.imaging.nifti.writing import write_probabilities, write_volume
from pipeline.imaging.scan import ScanSource, find_scans, read_scan
from pipeline.imaging.structures import structures_of
from pipeline.segmentation.confidence import (
    StructureConfidence,
    structure_confidences,
    uncertainty,
)
from pipeline.segmentation.inference import Predictor

Choice = TypeVar("Choice", bound=StrEnum)
Scans = dict[str, Images]
_OPEN_KEYS = ("reading.", "data.missing_contrasts=")
"""Begin what a prediction may decide anew."""


@dataclass(frozen=True)
class Extras:
    """What is written beside each mask.

    Attributes:
        probabilities: of each class.
        uncertainty: a map of it.
    """

    probabilities: bool = False
    uncertainty: bool = False


@dataclass(frozen=True)
class Written:
    """What came of one scan.

    Attributes:
        warnings: what was noticed when it was read.
        confidences: of its structures.
    """

    warnings: tuple[str, ...]
    confidences: list[StructureConfidence]


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
    foreign = [text for text in overrides if not text.startswith(_OPEN_KEYS)]
    if foreign:
        raise UsageError(
            f"--set {foreign[0]}",
            expected="a key of the section reading, or data.missing_contrasts: a model keeps "
            "what it was trained with",
            found=foreign[0].partition("=")[0],
            remedy="leave it out, or train with it",
        )
    paths = [(name, path) for name in (model, *also) for path in model_paths(name, work)]
    if also:
        _require_different(paths)
    predictor = Predictor.from_checkpoint(*(path for _, path in paths))
    chosen = Path(model) / INFERENCE
    if chosen.is_file():
        predictor = predictor.with_inference(read_inference(chosen, predictor.config))
    for name in also:
        if (Path(name) / INFERENCE).is_file():
            note(f"{Path(name) / INFERENCE} is not followed: {model} decides for the ensemble")
    _note_mirroring(predictor)
    if not overrides:
        return predictor
    config = parse_config(as_yaml(predictor.config), model, list(overrides))
    _note_missing(predictor.config, config)
    return Predictor(config, predictor.members, predictor.device)


def mask_output(
    predictor: Predictor, mask_format: str, identity: str | None, work: Path
) -> MaskOutput:
    """How masks are written.

    Raises:
        UsageError: an unknown format or identity, or an identity that no format would hold.
    """
    config = predictor.config
    chosen = _chosen("--format", mask_format, MaskFormat)
    if identity is not None and chosen is not MaskFormat.DICOM_SEG:
        raise UsageError(
            f"--identity {identity}",
            expected=f"--format {MaskFormat.DICOM_SEG}: no other format names a patient",
            found=f"--format {chosen}",
            remedy="leave it out, or choose the format",
        )
    mode = _chosen("--identity", identity or IdentityMode.PSEUDONYM, IdentityMode)
    return MaskOutput(
        chosen,
        structures_of(config.data.labels, config.structures),
        Algorithm(config.model_name, __version__),
        Identity(mode, pseudonyms_of(work)),
    )


def inputs(source: Path, config: Config, out: Path, work: Path) -> tuple[Scans, list[SetAside]]:
    """Name to one source a contrast, and what cannot be read.

    Of a data set with labels only the images are taken; masks of an earlier run below ``out``,
    where that lies inside of ``source``, are no scans.

    Raises:
        ScanError, DataError: nothing there, or another number of contrasts.
    """
    require_outside(source, {"--work": work})
    with scanning(work, config.reading) as scanner:
        is_scan = source.is_file() and source.suffix.lower() != ".csv"
        if not source.exists() or (is_scan and len(config.data.contrasts) == 1):
            found = find_scans(source, scanner)
            if not found.sources and found.set_aside:
                raise found.set_aside[0]
            return {name: (scan,) for name, scan in found.sources.items()}, []
        data = config.data
        listing = read_images(source, data.contrasts, scanner, data.missing_contrasts)
    own = out.resolve()
    earlier = own != source.resolve() and own.is_relative_to(source.resolve())
    scans = {
        name: sources
        for name, sources in listing.images.items()
        if not (earlier and any(_lies_in(own, item) for item in sources if item))
    }
    set_aside = list(listing.set_aside)
    if not scans:
        raise ScanError(
            source,
            expected="at least one scan",
            found="; ".join(item.reason for item in set_aside[:3]) or "none outside of --out",
            remedy="see the reasons, or correct the path",
        )
    return scans, set_aside


def write_prediction(
    predictor: Predictor,
    output: MaskOutput,
    sources: Images,
    target: Path,
    extras: Extras,
) -> Written:
    """Predict a scan and write its mask, with what is wanted beside it."""
    output.require_writable(sources[0])
    config = predictor.config
    if len(sources) == len(config.data.contrasts):
        volumes = read_contrasts(sources, config.data.contrasts, config.reading)
    else:
        # Refused by the model, which names its contrasts.
        volumes = [read_scan(source, config.reading) for source in sources if source is not None]
    prediction = predictor.predict_with_probabilities(*volumes)
    probabilities = prediction.probabilities
    if extras.probabilities:
        write_probabilities(probabilities, volumes[0], probabilities_beside(target))
    if extras.uncertainty:
        write_volume(uncertainty(probabilities), uncertainty_beside(target))
    output.write(prediction.mask, volumes[0], sources[0], target)
    return Written(
        tuple(text for volume in volumes for text in volume.warnings),
        structure_confidences(prediction.mask, probabilities, config),
    )


def write_sources(path: Path, scans: Scans, targets: Mapping[str, Path]) -> None:
    """Which mask came from where; DICOM paths may name patients, so this stays private."""
    with path.open("a", encoding="utf-8") as file:
        path.chmod(0o600)
        for name, contrasts in scans.items():
            sources = [str(path_of(item)) for item in contrasts if item is not None]
            file.write(json.dumps({"mask": str(targets[name]), "sources": sources}) + "\n")


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


def _lies_in(folder: Path, source: ScanSource) -> bool:
    return path_of(source).resolve().is_relative_to(folder)


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


def _chosen(option: str, text: str, choices: type[Choice]) -> Choice:
    try:
        return choices(text)
    except ValueError:
        raise UsageError(
            f"{option} {text}",
            expected=" or ".join(choices),
            found=text,
            remedy="correct the option",
        ) from None
