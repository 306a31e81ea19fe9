"""Recognises label maps and matches them to images by file name and folder."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

LABEL_WORDS = (
    "seg",
    "segmentation",
    "dseg",
    "probseg",
    "mask",
    "label",
    "labels",
    "labelmap",
    "gt",
    "ground truth",
    "gold standard",
    "consensus",
)
"""Endings of the names of label maps; case and separators are ignored."""
DERIVATIVES = "derivatives"
"""Folder of BIDS with a tree for each pipeline or rater."""
_LABEL_FOLDERS = ("segs", "segmentations", "masks", "annotations", "labelstr", "labelsts")
_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "scans", "volumes", "imagestr", "imagests")
_JOINTS = "_-. "
_JOINT = f"[{re.escape(_JOINTS)}]"
_WORDS = "|".join(LABEL_WORDS).replace(" ", f"{_JOINT}?")
# In BIDS, sub-01_T1w_lesion-manual is the label map that a person has drawn on sub-01_T1w.
_ENDING = re.compile(rf"(?:(?:^|{_JOINT}+)(?:{_WORDS})|(?:^|_)(?:[a-z]+-)+manual)$", re.IGNORECASE)
_ENTITY = re.compile(r"_(?:label|space|desc|res|den|hemi|atlas|seg)-[a-z0-9]+$", re.IGNORECASE)
_FOLDER = re.compile(rf"(?:{_WORDS}|{'|'.join(_LABEL_FOLDERS)})", re.IGNORECASE)


def is_label_name(name: str) -> bool:
    """Whether a name, or the last part of a relative path, is that of a label map."""
    return _ENDING.search(PurePosixPath(name).name) is not None


def is_label_path(name: str) -> bool:
    """Whether a relative path is that of a label map: by its name, or by one of its folders."""
    return is_label_name(name) or any(
        _FOLDER.fullmatch(folder) for folder in PurePosixPath(name).parts[:-1]
    )


def is_derivative(name: str) -> bool:
    """Whether a relative path lies in the folder of derivatives of BIDS."""
    return DERIVATIVES in PurePosixPath(name).parts[:-1]


def without_label_word(name: str) -> str:
    """Remove the ending of a label map: ``a/b_seg`` to ``a/b``, ``a/seg`` to ``a``.

    Other names are unchanged; ``seg`` becomes empty.
    """
    path = PurePosixPath(name)
    bare = path.parent / _ENDING.sub("", path.name)
    return "" if bare == PurePosixPath() else str(bare)


def label_name(name: str, images: Collection[str]) -> str:
    """Name of the image of a label: the same name, or without its ending."""
    if name in images:
        return name
    bare = without_label_word(name)
    return bare if bare in images else name


def images_of(
    labels: Iterable[str], images: Collection[str], is_preferred: Callable[[str], bool]
) -> dict[str, str]:
    """Match label maps to images by their names and folders.

    A label map without its ending has the name of its image, or is the prefix of exactly one image
    in its folder: ``p1/seg`` belongs to ``p1/T1`` if there is no other image. Folders that only say
    what is in them are ignored: ``labels/p1/a`` belongs to ``images/p1/a``. A label map in
    ``derivatives`` may be in another folder than its image, because names of BIDS are unique.

    Args:
        labels: names, or relative paths, of label maps.
        images: names, or relative paths, of images.
        is_preferred: whether an image is preferred among several.
    """
    index = _Index.of(images)
    found = {}
    for label in labels:
        for named in _candidates(label, index):
            if len(named) > 1:
                named = [image for image in named if is_preferred(image)] or named
            if named:
                break
        if len(named) == 1:
            found[label] = named[0]
    return found


@dataclass(frozen=True)
class _Index:
    """Images by folder and name, and all names in order."""

    by_place: Mapping[tuple[str, ...], Sequence[str]]
    by_name: Mapping[str, Sequence[str]]
    names: Sequence[str]
    names_in: Mapping[tuple[str, ...], Sequence[str]]

    @classmethod
    def of(cls, images: Iterable[str]) -> _Index:
        by_place: dict[tuple[str, ...], list[str]] = defaultdict(list)
        by_name: dict[str, list[str]] = defaultdict(list)
        names_in: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for image in images:
            folder, name = _place(image), PurePosixPath(image).name
            by_place[*folder, name].append(image)
            by_name[name].append(image)
            names_in[folder].add(name)
        ordered = {folder: sorted(names) for folder, names in names_in.items()}
        return cls(by_place, by_name, sorted(by_name), ordered)


def _candidates(label: str, index: _Index) -> Iterator[Sequence[str]]:
    """Images that a label map may belong to; the most certain ones first."""
    folder = _place(label)
    names = [_ENDING.sub("", PurePosixPath(label).name)]
    while (shorter := _ENTITY.sub("", names[-1])) != names[-1]:
        names.append(shorter)
    for name in names:
        yield index.by_place.get((*folder, name) if name else folder, ())
    near = _beginning_with(names[-1], index.names_in.get(folder, ()))
    yield [image for name in near for image in index.by_place[*folder, name]]
    if is_derivative(label) and names[-1]:
        for name in names:
            yield index.by_name.get(name, ())
        alike = _beginning_with(names[-1], index.names)
        yield [image for name in alike for image in index.by_name[name]]


def _beginning_with(begin: str, names: Sequence[str]) -> Iterator[str]:
    """Of names in order, those that go on after a separator; all without a beginning."""
    if not begin:
        yield from names
        return
    for joint in _JOINTS:
        first = bisect_left(names, begin + joint)
        yield from names[first : bisect_left(names, begin + chr(ord(joint) + 1))]


def _place(name: str) -> tuple[str, ...]:
    """Folders of a relative path without those that say what is in them."""
    folders = list(PurePosixPath(name).parts[:-1])
    if DERIVATIVES in folders:
        at = folders.index(DERIVATIVES)
        # The next folder is that of the pipeline or rater.
        folders = folders[:at] + folders[at + 2 :]
    return tuple(
        folder
        for folder in folders
        if not _FOLDER.fullmatch(folder) and folder.lower() not in _IMAGE_FOLDERS
    )
