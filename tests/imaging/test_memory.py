"""A failure to allocate is recognized in the words of every library, and frees what it held."""

from __future__ import annotations

import errno
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicewise.errors import ScanError
from slicewise.imaging import memory
from slicewise.imaging.memory import (
    GIBIBYTE,
    MemoryShortageError,
    free_memory_bytes,
    is_out_of_memory,
    limited_memory,
    within_memory,
)

FAILURES = [
    MemoryError(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 34359738368 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("MPS backend out of memory (MPS allocated: 17.94 GB)"),
    RuntimeError("Exception thrown in SimpleITK new_Image: Failed to allocate memory for image."),
    RuntimeError("Exception thrown in SimpleITK ReadImage: std::bad_alloc"),
    Exception("OpenCV: (-4:Insufficient memory) Failed to allocate 43200000000 bytes"),
    RuntimeError("could not create a primitive"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    ImportError("libopenblas.so: failed to map segment from shared object"),
]


@pytest.mark.fault(109, "Q")
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: str(failure)[:30] or "plain")
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "by MONAI"])
def test_a_failure_to_allocate_is_an_error_of_its_scan(failure: Exception, wrapped: bool) -> None:
    raised: Exception = failure
    if wrapped:
        raised = RuntimeError("applying transform <Spacingd object>")
        raised.__cause__ = failure
    with pytest.raises(MemoryShortageError) as caught, within_memory(Path("scan.nii.gz")):
        raise raised
    assert caught.value.where == "scan.nii.gz"
    assert "memory" in caught.value.reason
    assert "Spacingd" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes do not fit"),
        ValueError("1 to 7 dimensions"),
        OSError(errno.ENOSPC, "No space left on device"),
        ScanError("a", expected="b", found="a scan named out of memory", remedy="d"),
    ],
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)) as caught, within_memory("scan"):
        raise error
    assert caught.value is error


def test_arrays_of_a_scan_that_did_not_fit_are_freed() -> None:
    held: list[weakref.ref[Any]] = []

    def read() -> None:
        voxels = np.zeros(8)
        held.append(weakref.ref(voxels))
        raise MemoryError

    with pytest.raises(MemoryShortageError) as caught, within_memory("scan"):
        read()
    assert caught.value.__context__ is not None
    assert held[0]() is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory so")
def test_more_than_is_free_fails_at_once_and_the_limit_ends_with_the_scan() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(MemoryShortageError, match="that were free"), within_memory("scan"):
        np.ones(free_memory_bytes() // 4, np.int64)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    with limited_memory(GIBIBYTE // 4):
        np.ones(GIBIBYTE // 8, np.uint8)
        with pytest.raises(MemoryError):
            np.ones(GIBIBYTE // 2, np.uint8)


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The control group of this process, below another."""
    parent = tmp_path / "slurm"
    own = parent / "job"
    own.mkdir(parents=True)
    monkeypatch.setattr(memory, "_CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_MEMBERSHIP", tmp_path / "cgroup")
    (tmp_path / "cgroup").write_text("1:name=systemd:/\n0::/slurm/job\n")
    return own


def write_group(folder: Path, limit: str, used: int, cached: int) -> None:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\n")


def test_the_tightest_control_group_counts(group: Path) -> None:
    write_group(group, "max", 500, 0)
    write_group(group.parent, "1000", 700, 50)
    assert free_memory_bytes() == 350
    write_group(group, "600", 500, 0)
    assert free_memory_bytes() == 100
    write_group(group, "400", 500, 0)
    assert free_memory_bytes() == 0


def test_a_control_group_of_the_first_version(group: Path) -> None:
    own = group.parents[1] / "memory" / "docker"
    own.mkdir(parents=True)
    # In the container, the own group is the root.
    (group.parents[1] / "cgroup").write_text("4:memory:/docker/abc\n")
    (own / "memory.limit_in_bytes").write_text("2000\n")
    (own / "memory.usage_in_bytes").write_text("1500\n")
    (own / "memory.stat").write_text("total_inactive_file 100\n")
    assert free_memory_bytes() == 600
