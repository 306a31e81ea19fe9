"""What a service of many requests asks of the C library: give memory back."""

from __future__ import annotations

import ctypes

# Of malloc.h: glibc's parameters.
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_ONE_MEBIBYTE = 1 << 20
_ARENAS = 2


def give_memory_back() -> None:
    """Return large blocks to the system when they are freed; call it before a model is loaded.

    glibc keeps blocks of up to 32 MiB for later, in an arena a thread. Activations of scans of
    various sizes leave holes there that no other size fits, and the process grows. Another C
    library than glibc is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _ONE_MEBIBYTE)
        mallopt(_ARENA_MAX, _ARENAS)
