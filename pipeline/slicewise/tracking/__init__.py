"""Runs, their inputs and results, and registered models, kept by MLflow.

MLflow takes seconds to import and reads its settings while it does; every function here imports
it when it is called, after ``open_store`` has made these settings.
"""

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
