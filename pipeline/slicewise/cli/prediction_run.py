"""The steps of a prediction: the model, what it is asked about, each mask in its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from slicewise import __version__
from slicewise.cli.mask_output import (
    MaskFormat,
    MaskOutput,
    path_of,
    probabilities_beside,
    uncertainty_beside,
)
from slicewise.cli.scanning import pseudonyms_of, require_outside, scanning
from slicewise.cli.segmenting_model import SegmentingModel
from slicewise.config import Config
from slicewise.dataset.catalogue import Images, SetAside
from slicewise.dataset.contrasts import read_contrasts
from slicewise.dataset.layouts import read_images
from slicewise.errors import ScanError, UsageError
from slicewise.imaging.dicom.seg.identity import Identity, IdentityMode
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.nifti.writing import write_probabilities, write_volume
from slicewise.imaging.scan import ScanSource, find_scans, read_scan
from slicewise.imaging.structures import structures_of
from slicewise.segmentation.confidence import StructureConfidence, uncertainty
from slicewise.segmentation.inference import ProgressCallback

Choice = TypeVar("Choice", bound=StrEnum)
Scans = dict[str, Images]


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


def mask_output(config: Config, mask_format: str, identity: str | None, work: Path) -> MaskOutput:
    """How masks are written.

    Raises:
        UsageError: an unknown format or identity, or an identity that no format would hold.
    """
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
    model: SegmentingModel,
    output: MaskOutput,
    name: str,
    sources: Images,
    target: Path,
    extras: Extras,
    on_share: ProgressCallback,
) -> Written:
    """Predict the scan of a name and write its mask, with what is wanted beside it."""
    output.require_writable(sources[0])
    config = model.config
    if len(sources) == len(config.data.contrasts):
        volumes = read_contrasts(sources, config.data.contrasts, config.reading)
    else:
        # Refused by the model, which names its contrasts.
        volumes = [read_scan(source, config.reading) for source in sources if source is not None]
    found = model.segment(name, volumes, on_share)
    if extras.probabilities:
        write_probabilities(found.probabilities, volumes[0], probabilities_beside(target))
    if extras.uncertainty:
        write_volume(uncertainty(found.probabilities), uncertainty_beside(target))
    output.write(found.mask, volumes[0], sources[0], target)
    return Written(tuple(text for volume in volumes for text in volume.warnings), found.confidences)


def write_sources(path: Path, scans: Scans, targets: Mapping[str, Path]) -> None:
    """Which mask came from where; DICOM paths may name patients, so this stays private."""
    with path.open("a", encoding="utf-8") as file:
        path.chmod(0o600)
        for name, contrasts in scans.items():
            sources = [str(path_of(item)) for item in contrasts if item is not None]
            file.write(json.dumps({"mask": str(targets[name]), "sources": sources}) + "\n")


def _lies_in(folder: Path, source: ScanSource) -> bool:
    return path_of(source).resolve().is_relative_to(folder)


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
