"""Memory of a process: what is free, and failures to allocate as named errors.

Linux grants more memory than there is, and kills the process that uses it. Work on a scan is
therefore limited to what is free when it begins: an allocation beyond that fails, and is reported.
"""

from __future__ import annotations

import ctypes
import errno
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from slicewise.errors import ScanError, Where

GIBIBYTE = 1024**3
_MEMBERSHIP, _CONTROL_GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_ALLOCATION_FAILED = re.compile(
    r"out of memory|not enough memory|insufficient memory|bad[ _]alloc|alloc_failed"
    r"|(can't|cannot|could not|failed to|unable to) allocate memory|failed to map segment"
    r"|could not create a (primitive|memory object)",
    re.IGNORECASE,
)
"""How torch (CPU, CUDA, MPS), oneDNN, ITK, OpenCV, zlib and the dynamic linker say it."""
_OF_GPU = re.compile(r"\b(cuda|cudnn|cublas|hip|mps)", re.IGNORECASE)


class MemoryShortageError(ScanError):
    """A scan does not fit into the memory that was free."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a failure to allocate is the cause of an error, in whatever library."""
    return any(_failed_to_allocate(link) for link in _chain(error))


@contextmanager
def within_memory(where: Where) -> Iterator[None]:
    """Limit the work on one scan to the memory that is free now.

    Args:
        where: the scan, for the error.

    Raises:
        MemoryShortageError: the scan does not fit.
    """
    free_bytes = free_memory_bytes()
    try:
        with limited_memory(free_bytes):
            yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        found = f"one that needs {shortage(error, free_bytes)}"
        # The frames of a traceback keep arrays, which the next scan needs room for.
        for link in _chain(error):
            traceback.clear_frames(link.__traceback__)
        raise MemoryShortageError(
            where,
            expected="a scan that fits into memory",
            found=found,
            remedy="close other programs, crop the scan, or use a machine with more memory",
        ) from None


@contextmanager
def limited_memory(more_bytes: int | None) -> Iterator[None]:
    """Let this process allocate only so much in addition to what it has.

    Does nothing for None, on another system than Linux, and where CUDA is in use, whose
    reservations are no memory.
    """
    before = None if more_bytes is None else limit_memory(more_bytes)
    try:
        yield
    finally:
        if before is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, before)


def limit_memory(more_bytes: int) -> tuple[int, int] | None:
    """Like ``limited_memory``, until this process ends; returns the limits before, if there are."""
    if sys.platform != "linux" or _uses_cuda():
        return None
    import resource

    soft, hard = before = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [_data_bytes() + more_bytes, *(item for item in (soft, hard) if item >= 0)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    return before


def free_memory_bytes() -> int:
    """Memory that this process may still take: on the machine, in its control groups, by limits."""
    machine = int(psutil.virtual_memory().available + psutil.swap_memory().free)
    return max(0, min([machine, *_free_in_control_groups(), *_free_by_limits()]))


def return_freed_memory() -> None:
    """Give memory that was freed back to the system, where the C library keeps it.

    Temporary arrays of changing size leave gaps between those that stay, which glibc neither fills
    nor returns: they had come to three times what a large prediction needs.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def shortage(error: BaseException, free_bytes: int) -> str:
    """Which memory was short, to follow "more".

    Args:
        error: a failure to allocate.
        free_bytes: free memory of the machine before it.
    """
    if any(_OF_GPU.search(str(link)) for link in _chain(error)):
        return "more than is free in the memory of the GPU"
    return f"more than the {free_bytes / GIBIBYTE:.3g} GiB of memory that were free"


def be_ended_first() -> None:
    """Let the system end this process rather than its parent when memory runs out."""
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def _free_in_control_groups() -> Iterator[int]:
    if not _MEMBERSHIP.is_file():
        return
    for line in _MEMBERSHIP.read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = _CONTROL_GROUPS / controllers
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            # In a container, the own group is mounted as the root.
            if folder.is_relative_to(root) and (free := _free_in_group(folder)) is not None:
                yield free


def _free_in_group(group: Path) -> int | None:
    """Free memory of one control group (version 2 or 1); None if it has no limit."""
    for limit, usage, reclaimable in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most = (group / limit).read_text(encoding="ascii").strip()
            used = int((group / usage).read_text(encoding="ascii"))
            statistics = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        if most != "max":
            cached = dict(line.split() for line in statistics).get(reclaimable, "0")
            return max(0, int(most) - used + int(cached))
    return None


def _free_by_limits() -> Iterator[int]:
    if sys.platform == "linux":
        import resource

        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
        for limit, used in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
            soft, _ = resource.getrlimit(limit)
            if soft >= 0:
                yield soft - int(used) * resource.getpagesize()


def _data_bytes() -> int:
    """Private writable memory of this process, as RLIMIT_DATA counts it."""
    import resource

    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[5]
    return int(pages) * resource.getpagesize()


def _uses_cuda() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and the errors that led to it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop(0)
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            waiting += [link.__cause__, link.__context__]
            yield link


def _failed_to_allocate(error: BaseException) -> bool:
    if isinstance(error, MemoryError | MemoryShortageError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    # Errors of ours have words of their own about memory.
    return not isinstance(error, ScanError) and bool(_ALLOCATION_FAILED.search(str(error)))
