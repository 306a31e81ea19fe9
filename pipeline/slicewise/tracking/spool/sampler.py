"""Samples system metrics under the names that MLflow's web interface shows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor

_log = logging.getLogger(__name__)


class Sampler:
    """Samples processor, memory, disk, network, and the GPU if MLflow finds one."""

    def __init__(self) -> None:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        self._monitors: list[BaseMetricsMonitor] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        try:
            self._monitors.append(GPUMonitor())
        except (ImportError, RuntimeError) as error:
            _log.debug("no GPU is sampled: %s", error)

    def sample(self) -> Mapping[str, float]:
        """Present values, their names with the prefix ``system/``."""
        values: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            found = monitor.aggregate_metrics().items()
            values |= {f"system/{name}": float(value) for name, value in found}
            monitor.clear_metrics()
        return values
