"""Compares two runs on the cases that both have scored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.evaluation.caveats import caveats
from slicewise.evaluation.comparison import (
    PairedScore,
    RunComparison,
    metric_of,
    pair_scores,
    write_differences,
)
from slicewise.evaluation.comparison import compare as compare_scores
from slicewise.evaluation.scored_run import distinct_names
from slicewise.evaluation.verdicts import verdict
from slicewise.imaging.mark import Writer
from slicewise.imaging.target import Target
from slicewise.progress import SILENT, Progress
from slicewise.reporting.charts.differences import differences_figure
from slicewise.reporting.charts.export import write_figure
from slicewise.workflows.scored_runs import find_scores

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CompareOptions:
    """What to compare.

    Attributes:
        first: folder of a run, a run id, ``models:/name@alias``, or a CSV of scores.
        second: likewise; differences are second minus first.
        metric: key of ``evaluation.statistics.METRICS``, such as ``dice`` or ``hd95_mm``.
        out: folder of the differences; None takes ``compare`` below the work folder.
        work: the work folder that the runs were made with.
        overwrite: replace files of others.
    """

    first: str | Path
    second: str | Path
    metric: str = "dice"
    out: Path | None = None
    work: Path = Path("work")
    overwrite: bool = False


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        runs: names of both, the metric, and one row per structure.
        pairs: both values of each case and structure.
        caveats: sentences about what weakens the comparison.
        csv: file of the pairs.
        figure: the same as PNG.
    """

    runs: RunComparison
    pairs: tuple[PairedScore, ...]
    caveats: tuple[str, ...]
    csv: Path
    figure: Path

    @property
    def table(self) -> pd.DataFrame:
        """One row per structure: means of both runs, difference with interval and p-values."""
        import pandas as pd

        rows = []
        for row in self.runs.rows:
            found = asdict(row.difference)
            means = (row.structure, row.first_mean, row.second_mean, found.pop("mean"))
            names = ("structure", "first_mean", "second_mean", "difference")
            rows.append({**dict(zip(names, means, strict=True)), **found})
        return pd.DataFrame(rows).set_index("structure")

    @property
    def cases(self) -> pd.DataFrame:
        """One row per case and structure: both values and their difference."""
        import pandas as pd

        return pd.DataFrame(
            [{**asdict(pair), "difference": pair.difference} for pair in self.pairs]
        )

    @property
    def verdicts(self) -> tuple[str, ...]:
        """A sentence a structure: which run is better, or that this cannot be said."""
        names = (self.runs.first, self.runs.second)
        return tuple(verdict(row, self.runs.metric, names) for row in self.runs.rows)


def compare(options: CompareOptions, progress: Progress = SILENT) -> Comparison:
    """Test which of two runs is better, and write the differences case by case.

    Args:
        options: what is compared.
        progress: receives how far the work is.

    Raises:
        UsageError: no such metric.
        DataError: a run without scores, or none in common with the other.
        ModelError: an id or a model that the store does not know.
        OutputError: the differences cannot be written, or would replace files of others.
    """
    metric_of(options.metric)
    folder = options.out or options.work / "compare"
    table, figure = folder / "differences.csv", folder / "differences.png"
    inputs = [path for path in (Path(options.first), Path(options.second)) if path.is_file()]
    target = Target(Writer("compare"), overwrite=options.overwrite, inputs=inputs)
    target.claim((table, figure))
    with progress.task("comparing"):
        first = find_scores(options.first, options.work)
        second = find_scores(options.second, options.work)
        names = distinct_names(first, second)
        runs = compare_scores(first.scores, second.scores, names, options.metric)
        pairs = pair_scores(first.scores, second.scores, options.metric)
        with target.writing(folder):
            write_differences(pairs, table)
            write_figure(differences_figure(runs), figure)
    return Comparison(runs, tuple(pairs), tuple(caveats(runs, first, second)), table, figure)
