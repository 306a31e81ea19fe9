"""The steps of a prediction: the model, what it is asked about, each mask in its place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from pipeline import __version__
from pipeline.cli.mask_output import MaskFormat, MaskOutput, path_of, probabilities_beside
from pipeline.cli.scanning import pseudonyms_of, require_outside, scanning
from pipeline.cli.steps import model_paths
from pipeline.config import Config, as_yaml, parse_config
from pipeline.dataset.catalogue import SetAside
from pipeline.dataset.layouts import read_images
from pipeline.errors import ScanError, UsageError
from pipeline.imaging.dicom.seg.identity import Identity, IdentityMode
from pipeline.imaging.dicom.seg.segments import Algorithm
from pipeline.imaging.nifti.writing import write_probabilities
from pipeline.imaging.scan import ScanSource, find_scans, read_scan
from pipeline.imaging.structures import structures_of
from pipeline.segmentation.inference import Predictor

Choice = TypeVar("Choice", bound=StrEnum)
Scans = dict[str, tuple[ScanSource, ...]]


def predictor_of(model: str, overrides: Sequence[str], work: Path) -> Predictor:
    """The model, with the faults of scans met as the command line says.

    Raises:
        UsageError: an override of another section than ``reading``.
        ModelError, CheckpointError: the argument leads to no sound model.
    """
    foreign = [text for text in overrides if not text.startswith("reading.")]
    if foreign:
        raise UsageError(
            f"--set {foreign[0]}",
            expected="a key of the section reading: a model keeps what it was trained with",
            found=foreign[0].partition("=")[0],
            remedy="leave it out, or train with it",
        )
    predictor = Predictor.from_checkpoint(*model_paths(model, work))
    if not overrides:
        return predictor
    config = parse_config(as_yaml(predictor.config), model, list(overrides))
    return predictor.with_reading(config.reading)


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
        if not source.exists() or (source.is_file() and source.suffix.lower() != ".csv"):
            found = find_scans(source, scanner)
            if not found.sources and found.set_aside:
                raise found.set_aside[0]
            return {name: (scan,) for name, scan in found.sources.items()}, []
        listing = read_images(source, config.data.contrasts, scanner)
    own = out.resolve()
    earlier = own != source.resolve() and own.is_relative_to(source.resolve())
    scans = {
        name: sources
        for name, sources in listing.images.items()
        if not (earlier and any(path_of(item).resolve().is_relative_to(own) for item in sources))
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
    contrasts: tuple[ScanSource, ...],
    target: Path,
    *,
    probabilities: bool,
) -> tuple[str, ...]:
    """Predict and write; returns what was noticed when the scan was read."""
    output.require_writable(contrasts[0])
    volumes = [read_scan(source, predictor.config.reading) for source in contrasts]
    prediction = predictor.predict_with_probabilities(*volumes)
    if probabilities:
        write_probabilities(prediction.probabilities, volumes[0], probabilities_beside(target))
    output.write(prediction.mask, volumes[0], contrasts[0], target)
    return tuple(text for volume in volumes for text in volume.warnings)


def write_sources(path: Path, scans: Scans, targets: Mapping[str, Path]) -> None:
    """Which mask came from where; DICOM paths may name patients, so this stays private."""
    with path.open("a", encoding="utf-8") as file:
        path.chmod(0o600)
        for name, contrasts in scans.items():
            sources = [str(path_of(item)) for item in contrasts]
            file.write(json.dumps({"mask": str(targets[name]), "sources": sources}) + "\n")


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
