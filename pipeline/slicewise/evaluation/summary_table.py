"""Summaries of structures as a pandas table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slicewise.evaluation.scores import column_of
from slicewise.evaluation.statistics import StructureSummary

if TYPE_CHECKING:
    import pandas as pd


def summary_table(summaries: Sequence[StructureSummary]) -> pd.DataFrame:
    """One row per structure: the mean of each metric, its 95 % interval, and counts of cases.

    The columns of a metric are its key, and the key with ``_low`` and ``_high`` for the interval;
    metrics that are defined for no structure are left out. Undefined figures are NaN.
    """
    import pandas as pd

    rows = []
    for item in summaries:
        row: dict[str, float | str] = {"structure": item.structure}
        for key, found in item.metrics.items():
            name = column_of(key, in_pixels=item.in_pixels)
            row |= {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
        row |= {
            "cases": item.cases,
            "patients": item.patients,
            "false_negative": item.false_negative,
            "false_positive": item.false_positive,
            "undefined": item.undefined,
        }
        rows.append(row)
    table = pd.DataFrame(rows).set_index("structure") if rows else pd.DataFrame()
    return table.dropna(axis="columns", how="all")
