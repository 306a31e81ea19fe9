"""Recognises folders of a DICOM series that are copies of its other folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path

from slicewise.imaging.dicom.slice_header import SliceHeader
from slicewise.imaging.dicom.splitting import Digests

Folders = Mapping[Path, Sequence[SliceHeader]]


def originals_and_copies(
    slices: Iterable[SliceHeader], digests: Digests
) -> list[list[SliceHeader]]:
    """The slices of all folders except copies, and those of each complete copy.

    A copy has the identifiers, the positions and the pixels of slices of another folder;
    identifiers alone may repeat in the two halves of a volume.

    Args:
        slices: of one series.
        digests: computes checksums of the pixels of frames, given as file and frame; called only
            if a folder seems to be a copy of a part.
    """
    folders: dict[Path, list[SliceHeader]] = defaultdict(list)
    for one in slices:
        folders[one.path.parent].append(one)
    held = {folder: _identities(many) for folder, many in folders.items()}
    originals, copies = list[Path](), list[Path]()
    # There may be as many folders as patients, so that each is compared with few others.
    originals_with: dict[Hashable, list[Path]] = defaultdict(list)
    # Largest first: a folder is a copy if a larger one contains all of its slices.
    for folder in sorted(folders, key=lambda folder: (-len(held[folder]), folder)):
        others = originals_with[next(iter(held[folder]))] if held[folder] else ()
        if any(held[folder] <= held[other] for other in others):
            copies.append(folder)
            continue
        originals.append(folder)
        for identity in held[folder]:
            originals_with[identity].append(folder)
    whole = set().union(*(held[folder] for folder in originals))
    # A complete copy is a volume as well; a partial copy would be an incomplete one.
    complete = [folder for folder in copies if held[folder] == whole]
    counterparts = _by_identity(originals, folders)
    for folder in copies:
        if held[folder] != whole and not _has_pixels_of(folders[folder], counterparts, digests):
            originals.append(folder)
            counterparts |= _by_identity([folder], folders)
    return [
        [one for folder in sorted(originals) for one in folders[folder]],
        *(folders[folder] for folder in sorted(complete)),
    ]


def _identities(slices: Sequence[SliceHeader]) -> set[Hashable]:
    """What a copy of each slice shares with it; empty if slices have no identifiers."""
    return {_identity(one) for one in slices if one.instance_uid}


def _identity(one: SliceHeader) -> Hashable:
    size = (one.rows, one.columns)
    return one.instance_uid, one.frame, one.position_mm, one.orientation, size


def _by_identity(paths: Iterable[Path], folders: Folders) -> dict[Hashable, SliceHeader]:
    return {_identity(one): one for path in paths for one in folders[path]}


def _has_pixels_of(
    folder: Sequence[SliceHeader], counterparts: Mapping[Hashable, SliceHeader], digests: Digests
) -> bool:
    copied = [one for one in folder if one.instance_uid]
    first, second = (
        digests([(one.path, one.frame) for one in many])
        for many in (copied, [counterparts[_identity(one)] for one in copied])
    )
    return first == second
