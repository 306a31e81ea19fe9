"""Arrays in files, which are read where they are used, and of which few are open at a time."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST = 4096


def _most_open() -> int:
    """Half of the files that this process may open: often 256 (macOS) or 1,024 (Linux)."""
    if sys.platform == "win32":
        return _MOST
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if allowed == resource.RLIM_INFINITY else min(allowed // 2, _MOST)


def mapped(path: Path) -> NDArray[Any]:
    """The array of an ``.npy`` file, mapped from disk.

    Raises:
        OSError: the file cannot be read.
    """
    status = path.stat()
    # Another file may have taken its place.
    return _mapped(path, status.st_ino, status.st_mtime_ns)


@lru_cache(_most_open())
def _mapped(path: Path, *_: int) -> NDArray[Any]:
    # Slices of np.memmap itself take longer.
    return np.asarray(np.load(path, mmap_mode="r"))
