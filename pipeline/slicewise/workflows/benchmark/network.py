"""Measures the throughput of the network, next to the matrix-multiply rate of the same minutes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase, prepare
from slicewise.dataset.layouts import read_catalogue
from slicewise.dataset.workers import default_workers
from slicewise.errors import ScanError
from slicewise.imaging.nifti.writing import write_mask, write_volume
from slicewise.imaging.volume import Volume
from slicewise.segmentation.batches import AugmentedBatch
from slicewise.segmentation.device import (
    autocast,
    choose_device,
    memory_format_of,
    resolve_precision,
)
from slicewise.segmentation.training import Training
from slicewise.workflows.benchmark.measurement import Measurement

MATRIX_SIZE = 2048
SCAN_COUNT = 120
SCAN_SHAPE = (36, 50, 35)
"""Size of the crops that the peers' published throughput was measured on."""

MEASUREMENTS = 6
"""How many figures there are."""
TURNS = 4
SECONDS_A_TURN = 2.0

_INFERENCE_BATCH = 64


def run_network_benchmark() -> Iterator[Measurement]:
    """Measure preprocessing, then the rest in turns, because a machine's speed drifts."""
    device = choose_device("auto")
    with tempfile.TemporaryDirectory() as folder:
        cases, seconds = prepared_cases(Path(folder))
        yield Measurement("preprocessing with its start", len(cases) / seconds, "scans/s")
        config = config_for(Path(folder), device)
        training, without_data = (Training(config, cases, cases[:1], "bench") for _ in range(2))
        _repeat_first_batch(without_data)
        batch, windows = training.config.training.batch_size, _windows(training)
        seconds_of = _seconds_in_turns(
            {
                "float32": _matrix_multiply(torch.float32, device),
                "bfloat16": _matrix_multiply(torch.bfloat16, device),
                "training": training.step,
                "training without data": without_data.step,
                "inference": lambda: _forward(training, windows),
            },
            device,
        )
    rates = {name: 2 * MATRIX_SIZE**3 / seconds_of[name] / 1e9 for name in ("float32", "bfloat16")}
    faster = max(rates.values())
    for name, rate in rates.items():
        yield Measurement(f"matrix multiply {name}", rate, "GFLOP/s", rate)
    for name, count, flop in (
        ("training", batch, _training_flop(training)),
        ("inference", len(windows), _inference_flop(training, windows)),
    ):
        gflops = flop / seconds_of[name] / 1e9
        title = f"{name} 32-256, 64x48, batch {count}"
        speed = count / seconds_of[name]
        yield Measurement(title, speed, "slices/s", gflops, gflops / faster)
    share = seconds_of["training without data"] / seconds_of["training"]
    yield Measurement("training, of its speed on one batch that is there", 100 * share, "%")


def _repeat_first_batch(training: Training) -> None:
    first = training.batches.of_step(0)

    def of_step(step: int) -> AugmentedBatch:
        del step
        return first

    training.batches.of_step = of_step  # type: ignore[method-assign]


def _matrix_multiply(dtype: torch.dtype, device: torch.device) -> Callable[[], object]:
    matrix = torch.randn(MATRIX_SIZE, MATRIX_SIZE, device=device).to(dtype)
    return lambda: matrix @ matrix


def _seconds_in_turns(
    works: dict[str, Callable[[], object]], device: torch.device
) -> dict[str, float]:
    """Median duration of each call, over turns that every one of them has."""
    durations: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(TURNS + 1):
        for name, work in works.items():
            started = time.perf_counter()
            while True:
                before = time.perf_counter()
                work()
                if device.type == "cuda":
                    torch.cuda.synchronize()
                # The first turn warms up.
                if turn > 0:
                    durations[name].append(time.perf_counter() - before)
                if time.perf_counter() - started > SECONDS_A_TURN:
                    break
    return {name: float(np.median(values)) for name, values in durations.items()}


def config_for(folder: Path, device: torch.device) -> Config:
    """Of the network that is measured, in what is fast on a device."""
    config = _config_of(folder)
    precision = resolve_precision(config.training, device)
    training = config.training.model_copy(update={"precision": precision})
    return config.model_copy(update={"training": training})


def _config_of(folder: Path) -> Config:
    return Config.defaults(
        "bench",
        labels={"a": 1, "b": 2},
        data={"root": folder / "scans"},
        preprocessing={"plane": "axial"},
        network={"features": [32, 64, 128, 256], "window": [64, 48]},
        training={"steps": 1000},
    )


def prepared_cases(folder: Path, count: int | None = None) -> tuple[list[CachedCase], float]:
    """Synthetic cases in a folder, and the seconds that preparing them took."""
    _write_scans(folder / "scans", count or SCAN_COUNT)
    config = _config_of(folder)
    started = time.perf_counter()
    catalogue = read_catalogue(config.data)
    cases = []
    for _, result in prepare(catalogue, config, folder / "work", default_workers()):
        if isinstance(result, ScanError):
            raise result
        cases.append(result)
    return cases, time.perf_counter() - started


def _write_scans(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    for number in range(count):
        voxels = random.normal(1000, 200, SCAN_SHAPE).astype(np.float32)
        scan = Volume(voxels, np.eye(4))
        label = np.zeros(SCAN_SHAPE, dtype=np.uint8)
        label[10:20, 10:25, 8:20] = 1
        label[10:20, 25:40, 8:20] = 2
        write_volume(scan, folder / "images" / f"{number:03d}.nii.gz")
        write_mask(scan.with_voxels(label), scan, folder / "labels" / f"{number:03d}.nii.gz")


def _training_flop(training: Training) -> float:
    """Operations of one forward and backward pass, counted by torch."""
    config = training.config
    images = torch.zeros(
        config.training.batch_size, config.in_channels, *config.network.window,
        device=training.device,
    )  # fmt: skip
    with FlopCounterMode(display=False) as counter:
        training.network(images).sum().backward()
    training.network.zero_grad()
    return float(counter.get_total_flops())


def _windows(training: Training) -> torch.Tensor:
    config = training.config
    shape = (_INFERENCE_BATCH, config.in_channels, *config.network.window)
    windows = torch.zeros(shape, device=training.device)
    return windows.contiguous(memory_format=memory_format_of(config.training))


@torch.inference_mode()
def _forward(training: Training, windows: torch.Tensor) -> None:
    training.network.eval()
    with autocast(training.config.training.precision, training.device):
        training.network(windows)


@torch.inference_mode()
def _inference_flop(training: Training, windows: torch.Tensor) -> float:
    with FlopCounterMode(display=False) as counter:
        training.network.eval()(windows)
    return float(counter.get_total_flops())
