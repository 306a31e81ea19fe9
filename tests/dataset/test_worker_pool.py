"""Workers: a bad item, or one that kills its process, does not take the others with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slicewise.dataset.worker_pool import (
    chosen_workers,
    default_workers,
    run_on_all_scans,
    run_on_scans,
)
from slicewise.errors import ScanError, UsageError
from slicewise.progress import SILENT

# Workers import what they run by name, and test modules have no name that they could import:
# so the items are expressions, and the function is `eval`.
DIE = "__import__('os').kill(__import__('os').getpid(), 9)"
MISSING = (
    "__import__('slicewise.imaging.nifti.reading', fromlist=['x'])"
    ".read_nifti(__import__('pathlib').Path('absent.nii'))"
)


def counted(path: Path, expression: str) -> str:
    """The expression, with a mark in a file each time that it is begun."""
    return f"(open({str(path)!r}, 'a').write('x'), {expression})[1]"


def test_faults_stay_with_their_items(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    first = f"({DIE} if len(open({str(tmp_path / 'once')!r}).read()) < 2 else 'survived')"
    once, always = counted(tmp_path / "once", first), counted(marks, DIE)
    items = ["1 + 1", always, MISSING, "2 + 2", once]
    results = dict(run_on_scans(eval, items, 2))
    assert set(results) == set(items)
    assert (results["1 + 1"], results["2 + 2"]) == (2, 4)
    assert results[once] == "survived"
    error = results[MISSING]
    assert isinstance(error, ScanError)
    assert error.where == "absent.nii"
    death = results[always]
    assert isinstance(death, ScanError)
    assert "died twice (exit code -9)" in death.found
    assert marks.read_text() == "xx"


def test_our_own_mistakes_are_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        list(run_on_scans(eval, ["1 / 0"], 1))


def test_more_workers_than_items_and_no_items_at_all() -> None:
    assert list(run_on_scans(eval, ["3"], 8)) == [("3", 3)]
    assert list(run_on_scans(eval, [], 4)) == []


def test_no_workers_are_this_process() -> None:
    items = [MISSING, "__import__('os').getpid()"]
    (_, error), (_, process) = run_on_scans(eval, items, 0)
    assert isinstance(error, ScanError)
    assert process == os.getpid()


@pytest.mark.parametrize("workers", [0, 1])
def test_where_no_scan_may_fail_the_first_fault_ends_the_work(workers: int) -> None:
    assert list(run_on_all_scans(eval, ["3"], workers, SILENT, "counting")) == [("3", 3)]
    with pytest.raises(ScanError, match=r"absent\.nii"):
        list(run_on_all_scans(eval, [MISSING], workers, SILENT, "counting"))


def test_number_of_workers_follows_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, expected in ((1, 1), (3, 3), (64, 8)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        assert default_workers() == expected


def test_a_number_of_workers_is_at_least_one() -> None:
    assert chosen_workers(None) == default_workers()
    assert chosen_workers(3) == 3
    for number in (0, -2):
        with pytest.raises(UsageError, match="`workers`"):
            chosen_workers(number)
