"""One figure of a benchmark, and the machine that it was measured on."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import torch


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
