"""What every test may use: the folder of real scans, and skips that say their reason."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest_plugins = ["tests.postgres", "tests.small_experiment"]

NO_DATA = "SLICEWISE_TEST_DATA is not set: it names the folder of real scans"
NO_GPU = "no CUDA device"


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real scans; read-only."""
    folder = os.environ.get("SLICEWISE_TEST_DATA")
    if not folder:
        pytest.skip(NO_DATA)
    return Path(folder).resolve()


def pytest_configure() -> None:
    # What a shell runs in the background ignores SIGINT, which tests of signals send.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The longest file begins, or one process would be busy with it when all others have ended.
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")
    needs_data = [item for item in items if item.get_closest_marker("data")]
    if not os.environ.get("SLICEWISE_TEST_DATA"):
        for item in needs_data:
            item.add_marker(pytest.mark.skip(reason=NO_DATA))
    needs_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if needs_gpu and not _cuda_is_available():
        for item in needs_gpu:
            item.add_marker(pytest.mark.skip(reason=NO_GPU))


def _cuda_is_available() -> bool:
    # Only asked when a test needs it: importing torch takes seconds.
    import torch

    return torch.cuda.is_available()
