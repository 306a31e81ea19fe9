"""The findings of a data check as JSON: one case a line, without paths and patients."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from slicewise.config import DataSection
from slicewise.dataset.case_qc import CheckedCase
from slicewise.dataset.catalogue import SetAside
from slicewise.dataset.check_json import KEYS, write_check_json
from slicewise.dataset.cohort_qc import compare
from slicewise.dataset.fingerprints import Digests


def written(path: Path, count: int) -> dict[str, Any]:
    cases = [
        CheckedCase(
            f"c{number}",
            f"Surname {number // 2}",
            (3, 4, 5),
            (1.0, 1.0, 2.0),
            orientation="RAS",
            digests={"image": Digests("x", "y")},
            signature="bG9va2xvb2s=",
        )
        for number in range(count)
    ]
    set_aside = [SetAside(f"s{number}", "/secret", "damaged", "-") for number in range(count)]
    overview = compare(cases, DataSection(), needs_labels=False)
    write_check_json(path, cases, overview, set_aside)
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.mark.parametrize("count", [0, 1, 4])
def test_everything_is_there(tmp_path: Path, count: int) -> None:
    path = tmp_path / "check.json"
    content = written(path, count)
    assert list(content) == ["keys", "summary", "cases", "set_aside"]
    assert content["keys"] == KEYS
    named = {f"summary.{key}" for key in content["summary"]}
    assert named == {key for key in KEYS if key.startswith("summary.")}
    assert content["summary"]["cases"] == count
    assert [case["patient"] for case in content["cases"]] == [1, 1, 2, 2][:count]
    assert [case["name"] for case in content["cases"]] == ["c0", "c1", "c2", "c3"][:count]
    assert len(content["set_aside"]) == count
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for private in ("Surname", "secret", "bG9va2xvb2s"):
        assert private not in path.read_text()


def test_a_case_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "check.json"
    written(path, 4)
    lines = path.read_text().splitlines()
    assert [json.loads(line.rstrip(","))["name"] for line in lines if '"digests": ' in line] == [
        "c0",
        "c1",
        "c2",
        "c3",
    ]
