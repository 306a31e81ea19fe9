"""``slicewise bench``: throughput beside the rate that this machine reaches in the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Work


def bench(
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Default: WORK/bench.json.")
    ] = None,
    work: Work = DEFAULT_WORK,
) -> None:
    """Measure reading, preprocessing, training, inference and the matrix-multiply rate.

    Timings are noisy: compare shares of the rate within one run, not seconds between runs.

    Example:
      slicewise bench --json bench.json
    """
    import json

    from slicewise.cli.bridge import tracked
    from slicewise.cli.console import note, show_table
    from slicewise.dataset.reading_benchmark import FIGURES, run_reading_benchmark
    from slicewise.imaging.files import write_text
    from slicewise.segmentation.benchmark import MEASUREMENTS, Measurement, machine, run_benchmark

    rows = [
        Measurement(figure.name, figure.value, figure.unit)
        for figure in tracked(run_reading_benchmark(), "reading", FIGURES)
    ]
    rows += tracked(run_benchmark(), "measuring", MEASUREMENTS)
    show_table(
        f"{machine()}",
        ("what", "figure", "GFLOP/s", "of the faster rate"),
        [
            (
                row.name,
                f"{row.value:.1f} {row.unit}",
                "" if row.gflops is None else f"{row.gflops:.0f}",
                "" if row.share is None else f"{row.share:.0%}",
            )
            for row in rows
        ],
    )
    path = json_file or work / "bench.json"
    content = {"machine": machine(), "measurements": [row.as_dict() for row in rows]}
    write_text(path, json.dumps(content, indent=2) + "\n")
    note(f"written to {path}")
