"""Keys of the slice cache, from the content of a case and its configuration."""

from __future__ import annotations

import hashlib
import json

from slicewise.config import Config
from slicewise.dataset.catalogue import Case
from slicewise.dataset.preprocessing import FORMAT_VERSION
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.files import sha256_of
from slicewise.imaging.nifti.reading import NiftiVolume
from slicewise.imaging.scan import ScanSource


def case_key(case: Case, config: Config) -> str:
    """Digest of everything that the slices of a case depend on."""
    ingredients = {
        "format": FORMAT_VERSION,
        "reading": config.reading.model_dump(mode="json"),
        "preprocessing": config.preprocessing.model_dump(mode="json"),
        # What was found out about a case names its structures and contrasts.
        "labels": list(config.data.labels.items()),
        "contrasts": list(config.data.contrasts),
        "sources": [
            None if source is None else _digest(source) for source in (*case.images, case.label)
        ],
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()


def _digest(source: ScanSource) -> str:
    if isinstance(source, NiftiVolume):
        return f"{sha256_of(source.path)}, volume {source.volume}"
    if isinstance(source, DicomSeries):
        # A multi-frame file is listed once per frame.
        files = {path: sha256_of(path) for path in dict.fromkeys(source.files)}
        slices = [
            (files[path], frame) for path, frame in zip(source.files, source.frames, strict=True)
        ]
        return hashlib.sha256(json.dumps(slices).encode()).hexdigest()
    return sha256_of(source)
