"""Private record of the scan that each mask was made from.

Masks of DICOM have neutral names, such as ``dicom-3``, because names of files may be those of
patients. The record is the key from these names to the scans.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from slicewise.dataset.catalogue import Images
from slicewise.imaging.files import private_folder
from slicewise.imaging.scan import path_of

Sources = Mapping[Path, Sequence[Path]]
"""Absolute path of a mask to the files and folders of its scan."""


def add_sources(record: Path, masks: Mapping[Path, Images]) -> None:
    """Add masks to a record, which only its owner can read; other processes may add to it, too."""
    private_folder(record.parent)
    lines = []
    for mask, images in masks.items():
        sources = [str(path_of(item).resolve()) for item in images if item is not None]
        lines.append(json.dumps({"mask": str(mask.resolve()), "sources": sources}) + "\n")
    with record.open("ab", buffering=0) as file:
        record.chmod(0o600)
        # At once: lines of two processes must not mix.
        file.write("".join(lines).encode())


def read_sources(record: Path) -> dict[Path, tuple[Path, ...]]:
    """The scans of all masks of a record; empty without one."""
    found: dict[Path, tuple[Path, ...]] = {}
    if not record.is_file():
        return found
    for line in record.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        try:
            entry = json.loads(line)
            found[Path(entry["mask"]).resolve()] = tuple(map(Path, entry["sources"]))
        except (ValueError, LookupError, TypeError):
            # A process was killed while it wrote the line.
            continue
    return found


def labels_by_source(
    masks: Mapping[str, Path], label_of: Mapping[str, str], sources: Sources
) -> dict[str, str]:
    """Match masks to labels by the names of the files or folders of their scans.

    Args:
        masks: name to path.
        label_of: name of a file or folder to its label.
        sources: of the masks.

    Returns:
        Name of a mask to its label, without labels that match several masks.
    """
    found: dict[str, str] = {}
    for mask, path in masks.items():
        for source in sources.get(path.resolve(), ())[:1]:
            # From the folder of a series to that of its patient.
            names = (folder.name for folder in (source, *source.parents))
            label = next((label_of[name] for name in names if name in label_of), None)
            if label is not None:
                found[mask] = label
    counts = Counter(found.values())
    return {mask: label for mask, label in found.items() if counts[label] == 1}
