"""A problem because of which a data set cannot be trained on as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slicewise.dataset.catalogue import Catalogue
from slicewise.dataset.label_names import is_label_path
from slicewise.errors import DataError
from slicewise.quantities import counted, listed


@dataclass(frozen=True)
class DataSetProblem:
    """What is wrong with a data set as a whole.

    ``check`` lists it, and everything that trains refuses the data set with the same words.

    Attributes:
        expected: what would have been right.
        found: what was found, with the names of cases.
        remedy: what the user can do about it.
    """

    expected: str
    found: str
    remedy: str

    @property
    def text(self) -> str:
        """In one sentence."""
        return f"{self.found} ({self.remedy})"


def refuse(problems: Sequence[DataSetProblem], root: Path) -> None:
    """Stop if there is any problem.

    Raises:
        DataError: with all of them.
    """
    if problems:
        raise DataError(
            root,
            expected="; ".join(problem.expected for problem in problems),
            found="; ".join(problem.found for problem in problems),
            remedy="; ".join(problem.remedy for problem in problems),
        )


def missing_labels(names: Sequence[str], set_aside: Sequence[str] = ()) -> DataSetProblem:
    """The problem that no case has a label map.

    Args:
        names: of all cases.
        set_aside: names of what is no case, among which are label maps without an image.
    """
    alike = [name for name in (*names, *set_aside) if is_label_path(name)]
    of_whom = f"; {listed(alike, most=3)}: of which image?" if alike else ""
    return DataSetProblem(
        expected="label maps to train on",
        found=f"{counted(len(names), 'image')} and no label map{of_whom}",
        remedy="name each label map like its image, with the suffix _seg or in a second folder "
        "(images and labels), or pair them in a CSV manifest (image,label,patient,contrast,case). "
        "If patients have several contrasts, name those to use: data.contrasts: [FLAIR, T1]",
    )


def require_labels(catalogue: Catalogue) -> None:
    """Refuse a data set without label maps before its scans are read.

    Raises:
        DataError: no case has a label.
    """
    if not catalogue.labelled:
        names = [case.name for case in catalogue.cases]
        set_aside = [item.name for item in catalogue.set_aside]
        refuse([missing_labels(names, set_aside)], catalogue.root)
