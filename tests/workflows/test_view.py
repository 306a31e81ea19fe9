"""The page of a scan with its masks, from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicewise.errors import ScanError, UsageError
from slicewise.workflows.view import ViewOptions, mask_name, view


def test_a_page_of_several_scans(scans: Path, tmp_path: Path) -> None:
    label = scans / "labels" / "case0.nii.gz"
    options = ViewOptions(
        scans / "images", {"reference": label}, tmp_path / "page.html", work=tmp_path / "work"
    )
    result = view(options)
    assert result.shown == tuple(f"case{number}" for number in range(6))
    assert result.left_out == ()
    assert result.page.stat().st_size == result.size_bytes


def test_what_is_no_mask(scans: Path, tmp_path: Path) -> None:
    scan, out = scans / "images" / "case0.nii.gz", tmp_path / "page.html"
    with pytest.raises(ScanError, match="a folder of 6"):
        view(ViewOptions(scan, {"a": scans / "labels"}, out, work=tmp_path / "work"))
    with pytest.raises(UsageError, match="`masks`"):
        view(ViewOptions(scan, dict.fromkeys("abcde", scan), out, work=tmp_path / "work"))
    assert not out.exists()


def test_names_of_dicom_files_are_not_shown() -> None:
    assert mask_name(Path("a/SMITH^JOHN.dcm"), 2) == "mask 2"
    assert mask_name(Path("a/core.nii.gz"), 2) == "core"
