"""Makes the C library return freed memory to the system, for long-running services."""

from __future__ import annotations

import ctypes

# Parameters of glibc's malloc.h.
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_ONE_MEBIBYTE = 1 << 20
_ARENAS = 2


def give_memory_back() -> None:
    """Return large blocks to the system when they are freed; call it before loading a model.

    glibc keeps blocks of up to 32 MiB for reuse, in one arena per thread. Activations of scans of
    various sizes fragment these arenas, and the process grows. Does nothing with another C
    library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _ONE_MEBIBYTE)
        mallopt(_ARENA_MAX, _ARENAS)
