"""Recognises label maps and matches them to images by file name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from pathlib import PurePosixPath

LABEL_WORDS = (
    "seg",
    "segmentation",
    "mask",
    "label",
    "labels",
    "gt",
    "ground truth",
    "gold standard",
    "consensus",
)
"""Endings of the names of label maps; case and separators are ignored."""
_JOINT = r"[_\-. ]"
_WORD = "|".join(LABEL_WORDS).replace(" ", f"{_JOINT}?")
_ENDING = re.compile(rf"(?:^|{_JOINT}+)(?:{_WORD})$", re.IGNORECASE)


def is_label_name(name: str) -> bool:
    """Whether a name, or the last part of a relative path, is that of a label map."""
    return _ENDING.search(PurePosixPath(name).name) is not None


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
    """Match label maps to images in the same folder by their names.

    A label map without its ending has the name of its image, or is the prefix of exactly one image
    in its folder: ``p1/seg`` belongs to ``p1/T1`` if there is no other image.

    Args:
        labels: names, or relative paths, of label maps.
        images: names, or relative paths, of images.
        is_preferred: whether an image is preferred among several with this prefix.
    """
    folders: dict[PurePosixPath, list[str]] = {}
    for image in images:
        folders.setdefault(PurePosixPath(image).parent, []).append(image)
    found = {}
    for label in labels:
        bare = without_label_word(label)
        begins = re.compile(rf"{re.escape(bare)}(?:/|{_JOINT})" if bare else "")
        near = folders.get(PurePosixPath(label).parent, [])
        named = [bare] if bare in images else [image for image in near if begins.match(image)]
        if len(named) > 1:
            named = [image for image in named if is_preferred(image)]
        if len(named) == 1:
            found[label] = named[0]
    return found
