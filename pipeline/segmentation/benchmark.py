"""Synthetic scans in, throughput out, beside the matrix-multiply rate of the same minutes."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.config import Config, parse_config
from pipeline.dataset.cache import CachedCase, prepare
from pipeline.dataset.layouts import read_catalogue
from pipeline.dataset.workers import default_workers
from pipeline.errors import SlicewiseError
from pipeline.imaging.nifti import write_mask, write_volume
from pipeline.imaging.volume import Volume
from pipeline.segmentation.device import autocast, choose_device
from pipeline.segmentation.training import Training

MATRIX_SIZE = 2048
SCAN_COUNT = 120
SCAN_SHAPE = (36, 50, 35)
"""Size of the crops that the peers' published throughput was measured on."""

MEASUREMENTS = (
    "matrix multiply float32",
    "matrix multiply bfloat16",
    "preprocessing with its start",
    "training 32-256, 64x48, batch 32",
    "data in a training step",
    "inference 32-256, 64x48, batch 64",
)

_SECONDS_EACH = 8.0
_INFERENCE_BATCH = 64
_CONFIG = """
name: bench
data: {{root: {root}, labels: {{a: 1, b: 2}}}}
preprocessing: {{plane: axial}}
network: {{features: [32, 64, 128, 256], window: [64, 48]}}
training: {{steps: 1000, precision: {precision}}}
"""


@dataclass(frozen=True)
class Measurement:
    """One figure.

    Attributes:
        name: what was measured.
        value: the figure.
        unit: of the figure.
        gflops: rate of arithmetic, where it is known.
        share: of the faster matrix-multiply rate.
    """

    name: str
    value: float
    unit: str
    gflops: float | None = None
    share: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def machine() -> str:
    """Processor, cores, torch and date, for the record."""
    name = torch.cpu.get_capabilities().get("cpu_name") or platform.processor()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else str(name)
    return (
        f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{datetime.now(UTC):%Y-%m-%d}"
    )


def run_benchmark() -> Iterator[Measurement]:
    """Measure one thing after the other; about a minute."""
    device = choose_device("auto")
    rates = {}
    for name, dtype in zip(MEASUREMENTS, (torch.float32, torch.bfloat16), strict=False):
        rates[dtype] = _matrix_multiply_gflops(dtype, device)
        yield Measurement(name, rates[dtype], "GFLOP/s", rates[dtype])
    faster = max(rates.values())
    precision = "bfloat16" if rates[torch.bfloat16] > rates[torch.float32] else "float32"
    with tempfile.TemporaryDirectory() as folder:
        cases, seconds = _prepared(Path(folder), precision)
        yield Measurement(MEASUREMENTS[2], len(cases) / seconds, "scans/s")
        training = Training(_config(Path(folder), precision), cases, cases[:1], "bench")
        step_seconds = _seconds(training.step, device)
        batch_size = training.config.training.batch_size
        gflops = _training_flop(training) / step_seconds / 1e9
        yield Measurement(
            MEASUREMENTS[3], batch_size / step_seconds, "slices/s", gflops, gflops / faster
        )
        data = training.progress.data_seconds / training.progress.step_seconds
        yield Measurement(MEASUREMENTS[4], 100 * data, "%")
        yield _inference(training, faster)


def _matrix_multiply_gflops(dtype: torch.dtype, device: torch.device) -> float:
    matrix = torch.randn(MATRIX_SIZE, MATRIX_SIZE, device=device).to(dtype)
    seconds = _seconds(lambda: matrix @ matrix, device, at_most=3.0)
    return 2 * MATRIX_SIZE**3 / seconds / 1e9


def _seconds(
    work: Callable[[], object], device: torch.device, at_most: float = _SECONDS_EACH
) -> float:
    """Median duration of a call after warming up."""
    for _ in range(3):
        work()
    durations = []
    started = time.perf_counter()
    while time.perf_counter() - started < at_most:
        before = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        durations.append(time.perf_counter() - before)
    return float(np.median(durations))


def _config(folder: Path, precision: str) -> Config:
    return parse_config(_CONFIG.format(root=folder / "scans", precision=precision), "bench")


def _prepared(folder: Path, precision: str) -> tuple[list[CachedCase], float]:
    _write_scans(folder / "scans")
    config = _config(folder, precision)
    started = time.perf_counter()
    catalogue = read_catalogue(config.data)
    cases = []
    for _, result in prepare(catalogue, config, folder / "work", default_workers()):
        if isinstance(result, SlicewiseError):
            raise result
        cases.append(result)
    return cases, time.perf_counter() - started


def _write_scans(folder: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(SCAN_COUNT):
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


def _inference(training: Training, faster: float) -> Measurement:
    config = training.config
    network = training.network.eval()
    images = torch.zeros(
        _INFERENCE_BATCH, config.in_channels, *config.network.window, device=training.device
    ).contiguous(memory_format=training.memory_format)

    @torch.inference_mode()
    def forward() -> None:
        with autocast(config.training.precision, training.device):
            network(images)

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(images)
    seconds = _seconds(forward, training.device)
    gflops = counter.get_total_flops() / seconds / 1e9
    return Measurement(
        MEASUREMENTS[5], _INFERENCE_BATCH / seconds, "slices/s", gflops, gflops / faster
    )
