"""Two masks of a structure of several pieces in, how many of the pieces were found out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ComponentCounts:
    """Pieces of one structure, such as lesions.

    Attributes:
        reference: pieces of the reference.
        found: of these, those that the prediction touches.
        predicted: pieces of the prediction.
        invented: of these, those that touch nothing of the reference.
    """

    reference: int
    found: int
    predicted: int
    invented: int
