"""Slicewise segments medical images slice by slice: a 2D U-Net from scans to masks on their grid.

Every name below is loaded when it is first used, so that ``import slicewise`` takes no time::

    import slicewise

    slicewise.check("my_scans")                          # what is there, and what is wrong with it
    slicewise.plan("my_scans", out="mine.yaml")          # a configuration that fits it
    slicewise.train("mine.yaml", out="my_model")
    model = slicewise.load_model("my_model")
    mask = model.predict("scan.nii.gz")
    slicewise.write_mask(mask, "mask.nii.gz")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from slicewise.errors import SlicewiseError, missing_package

if TYPE_CHECKING:
    from slicewise.api.baseline import fit_baseline
    from slicewise.api.data_sets import check, convert, view
    from slicewise.api.demo import make_demo_data, run_demo
    from slicewise.api.evaluation import evaluate
    from slicewise.api.models import list_models, load_model, predict
    from slicewise.api.results import compare, report
    from slicewise.api.scans import read_mask, read_scan, write_mask
    from slicewise.api.training import plan, prepare, train
    from slicewise.cli.console import ConsoleProgress
    from slicewise.config import Config
    from slicewise.imaging.volume import Volume
    from slicewise.progress import Progress
    from slicewise.segmentation.prediction import Prediction
    from slicewise.workflows.model import Model

__version__ = "0.1.0"

__all__ = [
    "Config",
    "ConsoleProgress",
    "Model",
    "Prediction",
    "Progress",
    "SlicewiseError",
    "Volume",
    "check",
    "compare",
    "convert",
    "evaluate",
    "fit_baseline",
    "list_models",
    "load_model",
    "make_demo_data",
    "plan",
    "predict",
    "prepare",
    "read_mask",
    "read_scan",
    "report",
    "run_demo",
    "train",
    "view",
    "write_mask",
]

_HOMES = {
    "slicewise.api.baseline": ("fit_baseline",),
    "slicewise.api.data_sets": ("check", "convert", "view"),
    "slicewise.api.demo": ("make_demo_data", "run_demo"),
    "slicewise.api.evaluation": ("evaluate",),
    "slicewise.api.models": ("list_models", "load_model", "predict"),
    "slicewise.api.results": ("compare", "report"),
    "slicewise.api.scans": ("read_mask", "read_scan", "write_mask"),
    "slicewise.api.training": ("plan", "prepare", "train"),
    "slicewise.cli.console": ("ConsoleProgress",),
    "slicewise.config": ("Config",),
    "slicewise.imaging.volume": ("Volume",),
    "slicewise.progress": ("Progress",),
    "slicewise.segmentation.prediction": ("Prediction",),
    "slicewise.workflows.model": ("Model",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            try:
                found = getattr(importlib.import_module(home), name)
            except ModuleNotFoundError as error:
                raise missing_package(f"slicewise.{name}", error) from None
            globals()[name] = found
            return found
    raise AttributeError(f"module 'slicewise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
