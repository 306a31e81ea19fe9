"""MONAI without the packages that it need not load."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest

from slicewise.lean_monai import _UNUSED, _without_unused


def test_this_thread_does_not_find_them_and_another_does() -> None:
    with ThreadPoolExecutor(1) as other, _without_unused():
        for name in _UNUSED:
            with pytest.raises(ModuleNotFoundError, match=name):
                _found(name)
            assert other.submit(_found, name).result()
    assert all(_found(name) for name in _UNUSED)


def _found(name: str) -> bool:
    loaded = sys.modules.pop(name, None)
    try:
        return find_spec(name) is not None
    finally:
        if loaded is not None:
            sys.modules[name] = loaded


@pytest.mark.slow
def test_what_reads_scans_does_not_load_them() -> None:
    code = (
        "import sys, slicewise.dataset.preprocessing, slicewise.segmentation.inference\n"
        f"print(*sorted(set({sorted(_UNUSED)}) & set(sys.modules)))\n"
        "import mlflow, monai.visualize"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
