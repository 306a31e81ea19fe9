"""A few cases of median size, preprocessed to measure training and prediction on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase, prepare
from slicewise.dataset.catalogue import Case, Catalogue
from slicewise.dataset.workers import Workers
from slicewise.errors import DataError, ScanError
from slicewise.planning.fingerprint import CaseFingerprint, Fingerprint

SAMPLED_CASES = 4


@dataclass(frozen=True)
class Sample:
    """Cases that an estimate is measured on.

    Attributes:
        sources: the cases, the one nearest to the median size first.
        cached: their preprocessed slices.
        bytes_per_voxel: size on disk for each voxel of the planned grid.
    """

    sources: tuple[Case, ...]
    cached: tuple[CachedCase, ...]
    bytes_per_voxel: float


def median_sized_cases(fingerprint: Fingerprint) -> list[CaseFingerprint]:
    """The cases nearest to the median size, labelled ones first."""
    middle = fingerprint.median(lambda case: case.voxels)
    ranked = sorted(
        fingerprint.cases, key=lambda case: (not case.structures, abs(case.voxels - middle))
    )
    return ranked[:SAMPLED_CASES]


def prepare_sample(
    catalogue: Catalogue, fingerprint: Fingerprint, config: Config, scratch: Path, workers: Workers
) -> Sample:
    """Preprocess a few cases of median size.

    Raises:
        DataError: none of them can be preprocessed.
    """
    names = [case.name for case in median_sized_cases(fingerprint)]
    sources = {name: catalogue.case(name) for name in names}
    few = Catalogue(catalogue.root, tuple(sources.values()))
    results = dict(prepare(few, config, scratch, workers))
    cached = [item for name in names if isinstance(item := results[name], CachedCase)]
    if not cached:
        reasons = [item.reason for item in results.values() if isinstance(item, ScanError)]
        raise DataError(
            catalogue.root,
            expected="cases that can be preprocessed as planned",
            found="; ".join(reasons),
            remedy="correct these scans, or change the section preprocessing",
        )
    on_disk = sum(file.stat().st_size for case in cached for file in case.folder.iterdir())
    return Sample(
        tuple(sources[case.name] for case in cached),
        tuple(cached),
        on_disk / sum(case.label.size for case in cached),
    )
