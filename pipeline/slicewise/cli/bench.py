"""``slicewise bench``: throughput, and the matrix-multiply rate of the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overwrite, Work


def bench(
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="File for the figures; default: WORK/bench.json."
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="NAME",
            help="One benchmark: reading, network, devices or folds; default: the first two.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    work: Work = DEFAULT_WORK,
) -> None:
    """Measure the throughput of reading, preprocessing, training and inference.

    Training and inference are also shown as a share of the matrix-multiply rate
    of the same run. Timings are noisy: compare these shares, not seconds between
    runs. With --only devices, two processes that train one network are compared
    with one, in turns; with --only folds, two folds side by side with one after
    the other, which takes several minutes.

    Examples:
      slicewise bench --json bench.json

      slicewise bench --only folds
    """
    from slicewise.cli.console import PROGRESS, loading, note, show_table

    with loading():
        from slicewise.workflows.benchmark.run import BenchmarkOptions, benchmark
    result = benchmark(BenchmarkOptions(json_file, work, overwrite, only), PROGRESS)
    show_table(
        result.machine,
        ("what", "figure", "GFLOP/s", "of the faster rate"),
        [
            (
                row.name,
                f"{row.value:.{1 if row.value >= 10 else 2}f} {row.unit}",
                "" if row.gflops is None else f"{row.gflops:.0f}",
                "" if row.share is None else f"{row.share:.0%}",
            )
            for row in result.measurements
        ],
    )
    note(f"written to {result.json}")
