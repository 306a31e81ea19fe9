"""Times work on scans by a pool of two processes against two Dask workers of one thread, in turns.

    python tests/cluster/engines.py CONFIG --rounds 3

The scans of the configuration are prepared, and the first of them predicted by a network of a few
steps and evaluated. Masks and scores of both engines must be the same.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from empty_tasks import a_scheduler

import slicewise
from slicewise.config import load_config

SMALL = (
    "network.features=[8,16,32]",
    "training.steps=20",
    "training.validations=1",
)
SCANS = 80
STAGES = ("prepare", "predict", "evaluate")
ENGINES = ("pool", "Dask")


def timed(
    config: Path, model: Path, scans: Path, folder: Path, workers: int | str
) -> Iterator[float]:
    """Seconds of each stage."""
    shutil.rmtree(folder, ignore_errors=True)
    root = load_config(config).data.root
    assert root is not None, "data.root"
    masks, shared = folder / "masks", {"work": folder / "work", "workers": workers}
    for run in (
        lambda: slicewise.prepare(config, **shared),
        lambda: slicewise.predict(model, scans, masks, **shared),
        lambda: slicewise.evaluate(
            masks, root / "labelsTr", config=config, out=folder / "scores.csv", **shared
        ),
    ):
        begun = time.monotonic()
        run()
        yield time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    root = load_config(asked.config).data.root
    assert root is not None, "data.root"
    with TemporaryDirectory() as name, a_scheduler(Path(name), 2) as (address, _):
        folder = Path(name)
        model, scans = folder / "model", folder / "scans"
        slicewise.train(asked.config, out=model, settings=SMALL, work=folder / "work")
        scans.mkdir()
        for scan in sorted((root / "imagesTr").glob("[!.]*.nii.gz"))[:SCANS]:
            (scans / scan.name).symlink_to(scan.resolve())
        took: dict[str, list[list[float]]] = {engine: [] for engine in ENGINES}
        for _round in range(asked.rounds):
            for engine, workers in zip(ENGINES, (2, address), strict=True):
                took[engine].append([*timed(asked.config, model, scans, folder / engine, workers)])
        names = ["scores.csv", *(f"masks/{scan.name}" for scan in scans.iterdir())]
        assert not any(filecmp.cmpfiles(folder / "pool", folder / "Dask", names, False)[1:])
    for number, stage in enumerate(STAGES):
        pool, dask = (median(round_[number] for round_ in took[engine]) for engine in ENGINES)
        sys.stdout.write(f"{stage:9} pool {pool:5.1f} s, Dask {dask:5.1f} s: {dask / pool:.2f}\n")


if __name__ == "__main__":
    main()
