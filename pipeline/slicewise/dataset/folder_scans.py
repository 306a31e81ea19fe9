"""The scans below an unstructured folder, with their contrasts, and the listing of their cases."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from slicewise.dataset.catalogue import Images, Listing, SetAside
from slicewise.dataset.label_names import DERIVATIVES, is_derivative, is_label_path
from slicewise.errors import SlicewiseError
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.nifti.reading import is_nifti
from slicewise.imaging.nrrd.reading import is_nrrd
from slicewise.imaging.pictures import is_picture
from slicewise.imaging.scan import ScanSource, source_name
from slicewise.imaging.scan_search import FoundScans, find_scans
from slicewise.quantities import counted

LabelsOf = dict[str, dict[str, ScanSource]]
"""Label maps by case and name; a valid case has at most one."""
LABEL_REMEDY = (
    "give it the name of its image with the ending _seg, or match images and labels in a CSV "
    "manifest; if it is a scan, rename it"
)
_WORD = re.compile(r"[^\W_]+")


def raw_scans(root: Path, scanner: DicomScanner) -> tuple[FoundScans, tuple[str, ...]]:
    """The scans below a folder without derived images of BIDS, if there are others; and notes.

    Raises:
        ScanError: no scans.
    """
    found = find_scans(root, scanner)
    derived = {
        name
        for name, source in found.sources.items()
        if not isinstance(source, DicomSeries) and is_derivative(name) and not is_label_path(name)
    }
    others = [name for name in found.sources if name not in derived and not is_label_path(name)]
    if not derived or not others:
        return found, found.notes
    text = (
        f"{counted(len(derived), 'image')} in {DERIVATIVES} left out, because they are derived "
        "from the others; to use them, give their folder as the data set"
    )
    kept = {name: source for name, source in found.sources.items() if name not in derived}
    return replace(found, sources=kept), (*found.notes, text)


def contrast_in_name(name: PurePosixPath, by_word: Mapping[str, str]) -> tuple[str, str]:
    """Case and contrast of a file: ``a/b_FLAIR`` is of ``a/b``, ``a/FLAIR`` of ``a``."""
    words = list(_WORD.finditer(name.name))
    for number, word in enumerate(words):
        contrast = plain_word("".join(one.group() for one in words[number:]))
        if contrast in by_word:
            case = name.parent / name.name[: word.start()].rstrip("_-. ")
            return str(case).removeprefix("."), contrast
    return str(name), ""


def plain_word(name: str) -> str:
    """A name without case and separators: T1-post and t1post are equal."""
    return "".join(_WORD.findall(name.casefold()))


def unusable(found: FoundScans) -> list[SetAside]:
    """Files and series that cannot be used, with neutral names."""
    return [
        SetAside.from_error(_shown_name(error, number), error)
        for number, error in enumerate(found.set_aside, start=1)
    ]


def _shown_name(error: SlicewiseError, number: int) -> str:
    """Name of a file that cannot be used; names of DICOM may be those of patients."""
    path = Path(error.where)
    is_named = is_nifti(path) or is_nrrd(path) or is_picture(path)
    return source_name(path) if is_named else f"dicom-{number}"


def listing_of(
    root: Path,
    found: FoundScans,
    images: dict[str, Images],
    labels_of: LabelsOf,
    set_aside: Sequence[SetAside],
    loose: Mapping[str, ScanSource],
    notes: tuple[str, ...],
) -> Listing:
    """The listing of cases, of which several label maps of one image are set aside.

    Args:
        root: of the data set.
        found: scans and DICOM SEG below it.
        images: of each case.
        labels_of: label maps of each case.
        set_aside: scans that are not usable.
        loose: label maps of which no image was found.
        notes: sentences about the search.
    """
    loose_labels = [
        SetAside(name, str(source), "a label map of which no image was found", LABEL_REMEDY)
        for name, source in loose.items()
    ]
    loose_labels += [
        SetAside(
            f"dicom-label-{number}",
            str(path),
            "a label without a series, of several, or one of several of a series",
            "keep one DICOM SEG per series, or match images and labels in a CSV manifest",
        )
        for number, path in enumerate(found.loose_labels, start=1)
    ]
    labels: dict[str, ScanSource] = {}
    for image, sources in labels_of.items():
        if len(sources) == 1:
            labels[image] = next(iter(sources.values()))
            continue
        reason = f"one of {len(sources)} label maps of {image}"
        remedy = "keep one, or choose one in a CSV manifest"
        loose_labels += [SetAside(name, str(at), reason, remedy) for name, at in sources.items()]
    return Listing(
        root,
        images,
        labels,
        set_aside=tuple(set_aside),
        loose_labels=tuple(loose_labels),
        labels_are_complete=False,
        notes=notes,
    )
