"""The content of a report, which page and slides present."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from matplotlib.figure import Figure

from slicewise.evaluation.comparison import RunComparison
from slicewise.evaluation.results import Results, RunFacts
from slicewise.evaluation.scores import Score
from slicewise.evaluation.statistics import Distribution, StructureSummary
from slicewise.imaging.structures import Structure
from slicewise.metrics.calibration import Reliability
from slicewise.reporting.report.case_panels import CasePanels
from slicewise.reporting.report.failures import Failure

if TYPE_CHECKING:
    from slicewise.reporting.viewer.page import ViewerParts


@dataclass(frozen=True)
class Compared:
    """Another run, to compare with the run of the report.

    Attributes:
        kind: what it is to the run.
        name: how the page calls it.
        headline: mean Dice of that run over all of its cases.
        comparisons: one a metric, Dice first; each from the other run to this one.
        caveats: what weakens the comparison.
    """

    kind: Literal["baseline", "other run"]
    name: str
    headline: Distribution
    comparisons: tuple[RunComparison, ...]
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportedCase:
    """A case with its pictures.

    Attributes:
        panels: what is seen.
        role: why it is shown, such as ``median``.
        notes: what the pictures do not show, such as false-positive components.
    """

    panels: CasePanels
    role: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """A run with everything that its report shows.

    Attributes:
        name: of the configuration.
        folds: of the run; none for a folder of masks.
        structures: names, values and colours.
        scores: of all folds.
        summaries: of the scores.
        headline: mean Dice with its interval; None without scores.
        volumes_ml: structure to predicted volume of each case, where there are no scores; pixels
            if ``in_pixels``.
        failures: the worst kind first.
        compared: the classical baseline, another run.
        cases: with their pictures.
        viewer: of the same cases, where it is wanted.
        network: figure of the architecture, where the run has a network.
        notes: what is left out, and how to get it.
        provenance: term to text.
        in_pixels: whether distances and volumes are in pixels, because the spacing is unknown.
    """

    name: str
    folds: tuple[Results, ...]
    structures: tuple[Structure, ...]
    scores: tuple[Score, ...]
    summaries: tuple[StructureSummary, ...]
    headline: Distribution | None
    volumes_ml: Mapping[str, Mapping[str, float]]
    failures: tuple[Failure, ...]
    compared: tuple[Compared, ...]
    cases: tuple[ReportedCase, ...]
    viewer: ViewerParts | None
    network: Figure | None
    notes: tuple[str, ...]
    provenance: Mapping[str, str]
    in_pixels: bool

    @property
    def facts(self) -> tuple[RunFacts, ...]:
        """Of the folds that came to their scores."""
        return tuple(fold.facts for fold in self.folds if fold.facts is not None)

    @property
    def colours(self) -> dict[str, str]:
        """Structure to #rrggbb, of every structure that is scored or named."""
        return {structure.name: structure.colour for structure in self.structures}

    @property
    def case_names(self) -> tuple[str, ...]:
        """Every case that is scored or has a volume, once."""
        scored = dict.fromkeys(score.case for score in self.scores)
        measured = dict.fromkeys(case for of in self.volumes_ml.values() for case in of)
        return tuple({**scored, **measured})

    @property
    def reliability(self) -> dict[str, Reliability]:
        """Probabilities against the truth, over all folds."""
        sums: dict[str, Reliability] = {}
        for fold in self.folds:
            for name, bins in fold.reliability.items():
                sums[name] = sums[name] + bins if name in sums else bins
        return sums
