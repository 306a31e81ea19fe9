"""Pictures of how a model works, from the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

Slicewise = Callable[..., Any]


def test_figures_are_drawn_from_a_model_and_a_scan(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    scan = scans / "images" / "case1.nii.gz"
    done = slicewise("figures", model, scan, "--out", tmp_path / "new", "--work", work)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "new").glob("[!.]*")} == {
        "network.svg",
        "scan_and_mask.png",
        "windows.png",
    }
    with Image.open(tmp_path / "new" / "windows.png") as picture:
        colours = picture.convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert len(colours) > 50
    assert "U-Net" in (tmp_path / "new" / "network.svg").read_text()


def test_one_scan_is_asked_for(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    done = slicewise("figures", model, scans / "images", "--out", tmp_path, "--work", work)
    assert done.returncode == 2
    assert "one scan" in done.stderr
    done = slicewise("figures", model, scans / "nothing.nii", "--out", tmp_path, "--work", work)
    assert done.returncode == 1
    assert "nothing.nii" in done.stderr
    assert not list(tmp_path.iterdir())
