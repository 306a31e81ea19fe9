"""The training and held-out cases of a fold, with their preprocessed slices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from slicewise.dataset.cache import CachedCase, Prepared
from slicewise.dataset.catalogue import Case, Catalogue
from slicewise.dataset.splits import Fold, shared_patients


@dataclass(frozen=True)
class FoldCases:
    """A fold with its training and held-out cases.

    Attributes:
        fold: names of the cases.
        catalogue: with the sources of the cases.
        prepared: preprocessed slices of the usable cases.
    """

    fold: Fold
    catalogue: Catalogue
    prepared: Prepared

    @cached_property
    def train(self) -> list[CachedCase]:
        """Usable training cases."""
        return self.prepared.chosen(self.fold.train)

    @cached_property
    def val(self) -> list[CachedCase]:
        """Usable held-out cases."""
        return self.prepared.chosen(self.fold.val)

    @property
    def cases(self) -> list[Case]:
        """All cases of the fold, including those that were set aside."""
        return [self.catalogue.case(name) for name in (*self.fold.train, *self.fold.val)]

    @property
    def shared_patients(self) -> int:
        """Number of patients with cases in both training and validation."""
        return len(shared_patients(self.fold, self.cases))

    def source(self, cached: CachedCase) -> Case:
        """Sources of a case."""
        return self.catalogue.case(cached.name)

    @property
    def held_out(self) -> list[Case]:
        """Sources of the usable held-out cases."""
        return [self.source(case) for case in self.val]

    def summary(self) -> Iterator[str]:
        """Sentences about the number of cases and shared patients."""
        fold = self.fold
        text = f"fold {fold.number} ({fold.kind}): {len(self.train)} training cases, "
        text += f"{len(self.val)} held out"
        if lost := len(self.cases) - len(self.train) - len(self.val):
            text += f", {lost} set aside"
        if self.shared_patients:
            text += (
                f"; {self.shared_patients} patients in both: the scores are optimistically biased"
            )
        yield text
        if all(case.patient == case.name for case in self.cases):
            yield "each case counts as one patient; set data.patient_pattern if some share one"
