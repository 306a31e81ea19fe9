"""Every bad input has a test that asserts its outcome, and the table of them is up to date."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def faults() -> ModuleType:
    path = Path(__file__).with_name("faults_table.py")
    spec = importlib.util.spec_from_file_location("faults_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_case_has_a_test_of_its_outcome(faults: ModuleType) -> None:
    tests, contradictions = faults.covering_tests()
    assert not contradictions
    numbers = [number for cases in faults.CASES.values() for number in cases]
    assert [number for number in numbers if number not in tests] == []


def test_the_table_is_up_to_date(faults: ModuleType) -> None:
    assert faults.TABLE.read_text(encoding="utf-8") == faults.table(), "run `make faults`"
