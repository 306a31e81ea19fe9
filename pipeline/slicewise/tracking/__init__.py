"""Runs, their inputs and results, and registered models, kept by MLflow.

MLflow takes seconds to import and reads its settings while it does; every function here imports
it when it is called, after ``open_store`` has made these settings. Names are loaded when they are
used: a server of MLflow that takes a protocol from here needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slicewise.tracking.registry import RegisteredVersion, register_model
    from slicewise.tracking.resolving import resolve_model
    from slicewise.tracking.runs import TrackedRun, continue_run, start_run
    from slicewise.tracking.store import Store, mlflow_ui_command, open_store

__all__ = [
    "RegisteredVersion",
    "Store",
    "TrackedRun",
    "continue_run",
    "mlflow_ui_command",
    "open_store",
    "register_model",
    "resolve_model",
    "start_run",
]

_HOMES = {
    "registry": ("RegisteredVersion", "register_model"),
    "resolving": ("resolve_model",),
    "runs": ("TrackedRun", "continue_run", "start_run"),
    "store": ("Store", "mlflow_ui_command", "open_store"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
