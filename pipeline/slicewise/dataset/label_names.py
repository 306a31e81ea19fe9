"""Names of files in; which of them are label maps, and whose, out."""

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
"""What the name of a label map ends in; capitals and what joins the words do not matter."""
_JOINT = r"[_\-. ]"
_WORD = "|".join(LABEL_WORDS).replace(" ", f"{_JOINT}?")
_ENDING = re.compile(rf"(?:^|{_JOINT}+)(?:{_WORD})$", re.IGNORECASE)


def is_label_name(name: str) -> bool:
    """Whether a name, or the last part of a relative path, is that of a label map."""
    return _ENDING.search(PurePosixPath(name).name) is not None


def without_label_word(name: str) -> str:
    """What the name of a label map begins with: ``a/b_seg`` to ``a/b``, ``a/seg`` to ``a``.

    A name that is no label map's stays as it is; nothing is left of ``seg``.
    """
    path = PurePosixPath(name)
    bare = path.parent / _ENDING.sub("", path.name)
    return "" if bare == PurePosixPath() else str(bare)


def label_name(name: str, images: Collection[str]) -> str:
    """Name of the image that a label belongs to: the same, or without a usual ending."""
    if name in images:
        return name
    bare = without_label_word(name)
    return bare if bare in images else name


def images_of(
    labels: Iterable[str], images: Collection[str], is_preferred: Callable[[str], bool]
) -> dict[str, str]:
    """Label map to the image that it lies beside, as far as their names tell.

    It belongs to the image whose name it bears before its word, or else to the only one in its
    folder whose name begins so: ``p1/seg`` is of ``p1/T1`` if that is alone there.

    Args:
        labels: names, or relative paths, of label maps.
        images: those of images.
        is_preferred: decides where several begin so.
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
