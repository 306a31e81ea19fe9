"""Measures a training whose slice cache is larger than memory.

Run it where memory is limited and the page cache is cold, twice, so that the cache is there:

    python tests/larger_than_memory.py FOLDER
    echo 3 > /proc/sys/vm/drop_caches
    systemd-run --scope -p MemoryMax=1500M python tests/larger_than_memory.py FOLDER --plane all
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import psutil

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.cache_entry import _points
from slicewise.segmentation.training import Training

SHAPE = (192, 256, 256)
BLOCKS = 4


def cached(folder: Path, number: int, noise: np.ndarray) -> CachedCase:
    """A case of noise with two blocks as its structures, written unless it is there."""
    place = folder / f"{number:05d}"
    if not (place / "points.npy").exists():
        place.mkdir(parents=True)
        np.save(place / "image.npy", np.roll(noise, number, 0))
        depth, rows, columns = (size // 4 for size in SHAPE)
        label = np.zeros(SHAPE, np.uint8)
        label[depth : 2 * depth, rows : 2 * rows, columns : 2 * columns] = 1
        label[2 * depth : 3 * depth, rows : 2 * rows, columns : 2 * columns] = 2
        np.save(place / "label.npy", label)
        np.save(place / "points.npy", _points(label))
    return CachedCase(f"case {number}", f"patient {number}", str(number), place)


def a_training(folder: Path, count: int, plane: str) -> Training:
    noise = np.random.default_rng(0).normal(size=(SHAPE[0], 1, *SHAPE[1:])).astype(np.float16)
    cases = [cached(folder, number, noise) for number in range(count)]
    config = Config.defaults(
        "large",
        labels={"a": 1, "b": 2},
        data={"root": folder},
        preprocessing={"plane": plane},
        network={"features": [16, 32, 64, 128], "window": [128, 128]},
        training={"steps": 1000, "batch_size": 16, "precision": "bfloat16", "device": "cpu"},
    )
    return Training(config, cases, cases[:1], "0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=160)
    parser.add_argument("--plane", default="axial")
    parser.add_argument("--steps", type=int, default=25)
    asked = parser.parse_args()
    training = a_training(asked.folder, asked.cases, asked.plane)
    progress, process = training.progress, psutil.Process()
    for _ in range(BLOCKS):
        before = progress.data_seconds, progress.step_seconds, process.io_counters().read_bytes
        for _ in range(asked.steps):
            training.step()
        waited, took = progress.data_seconds - before[0], progress.step_seconds - before[1]
        read = process.io_counters().read_bytes - before[2]
        memory = process.memory_info()
        sys.stdout.write(
            f"{progress.step} steps: {1e3 * took / asked.steps:.0f} ms each, of which waiting for "
            f"data {waited / took:.1%}; {read / asked.steps / 1e6:.1f} MB read; "
            f"{(memory.rss - memory.shared) / 1e9:.2f} GB of memory without the page cache\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
