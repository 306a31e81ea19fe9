"""What this package takes from MONAI, imported without optional packages that cost seconds.

``import monai`` imports all of its modules, and these import each optional package that is
installed. Those below serve modules that nothing here uses, and take more than half of the time,
in every process that works on scans.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_UNUSED = frozenset({"jsonschema", "matplotlib", "mlflow"})
"""By ``monai.bundle``, ``monai.visualize`` and ``monai.handlers``."""


class _Absent(MetaPathFinder):
    """Packages that this thread does not find; others may import them at the same time."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname in _UNUSED and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{fullname} is not imported by MONAI", name=fullname)
        return None


@contextmanager
def _without_unused() -> Iterator[None]:
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        yield
    finally:
        sys.meta_path.remove(absent)


with _without_unused():
    from monai.apps.datasets import DecathlonDataset
    from monai.data import ImageReader, MetaTensor
    from monai.data.utils import compute_importance_map
    from monai.inferers import sliding_window_inference
    from monai.losses import DiceLoss
    from monai.networks import nets
    from monai.networks.layers import GaussianFilter
    from monai.transforms import (
        Compose,
        CropForegroundd,
        EnsureTyped,
        LoadImaged,
        MapTransform,
        Orientationd,
        Spacingd,
    )

__all__ = [
    "Compose",
    "CropForegroundd",
    "DecathlonDataset",
    "DiceLoss",
    "EnsureTyped",
    "GaussianFilter",
    "ImageReader",
    "LoadImaged",
    "MapTransform",
    "MetaTensor",
    "Orientationd",
    "Spacingd",
    "compute_importance_map",
    "nets",
    "sliding_window_inference",
]
