"""Any number of arrays in files, with few files open."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slicewise.dataset.mapped_arrays import mapped

READ = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
from slicewise.dataset.mapped_arrays import mapped
print(sum(int(mapped(path)[0]) for path in Path(sys.argv[1]).iterdir()))
"""


def test_more_arrays_than_files_that_may_be_open(tmp_path: Path) -> None:
    for number in range(200):
        np.save(tmp_path / f"{number}.npy", np.array([number]))
    done = subprocess.run(
        [sys.executable, "-c", READ, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{sum(range(200))}\n", done.stderr


def test_nothing_is_copied(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    assert mapped(tmp_path / "a.npy") is mapped(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="read-only"):
        mapped(tmp_path / "a.npy")[0, 0] = 1


def test_a_file_that_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([1]))
    assert mapped(path)[0] == 1
    np.save(tmp_path / "b.npy", np.array([2]))
    (tmp_path / "b.npy").replace(path)
    assert mapped(path)[0] == 2
