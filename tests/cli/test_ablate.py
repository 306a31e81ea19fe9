"""Ablation: variants on inner folds, ensembles, nothing twice, mistakes in the file of variants."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Slicewise = Callable[..., Any]

VARIANTS = """
variants:
  coronal: [preprocessing.plane=coronal]
  all_planes: [preprocessing.plane=all, "network.features=[4]"]
ensembles:
  both: [base, coronal]
"""


@pytest.fixture
def variants(tmp_path: Path) -> Path:
    path = tmp_path / "variants.yaml"
    path.write_text(VARIANTS)
    return path


def test_variants_are_trained_once_and_compared(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path, variants: Path
) -> None:
    out = tmp_path / "out"
    call = ("ablate", tiny, variants, "--out", out, "--work", tmp_path / "work")
    data = ("--set", f"data.root={scans}", "--set", "data.fold_count=2")
    done = slicewise(*call, *data)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((out / "ablation.csv").read_text().splitlines()))
    assert [row["variant"] for row in rows] == ["base", "coronal", "all_planes", "both"]
    assert rows[3]["changes"] == "base coronal"
    trained = (out / "base" / "seed-0" / "last.pt").stat().st_mtime_ns
    assert slicewise(*call, *data).returncode == 0
    assert (out / "base" / "seed-0" / "last.pt").stat().st_mtime_ns == trained
    # The held-out cases of the outer fold are in no score.
    scored = {
        row["case"]
        for row in csv.DictReader((out / "base" / "seed-0" / "scores.csv").read_text().splitlines())
    }
    facts = json.loads((out / "base" / "seed-0" / "finished.json").read_text())
    assert facts["cpu_seconds"] > 0
    assert 0 < len(scored) < len(list(scans.glob("images/*.nii.gz"))) / 2 + 1


@pytest.mark.slow
def test_variants_side_by_side_score_as_one_after_the_other(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path, variants: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    call = ("ablate", tiny, variants, "--work", tmp_path / "work", "--set", f"data.root={scans}")
    for out, more in ((one, ()), (two, ("--parallel", "2"))):
        done = slicewise(*call, "--out", out, *more)
        assert done.returncode == 0, done.stderr
    for variant in ("base", "coronal", "all_planes"):
        scores = f"{variant}/seed-0/scores.csv"
        assert (one / scores).read_bytes() == (two / scores).read_bytes(), variant


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("variants: [a, b]", "not lists of texts"),
        ("other: {}", "other keys"),
        ("variants: {a: [seed=1]}\nensembles: {b: [c]}", "no variants"),
        ("variants: {a: [seed=1]}\nensembles: {a: [base]}", "a twice"),
        ("variants: {base: [seed=1]}", "settings of base"),
        ("variants: {../a: [seed=1]}", "not valid as names of folders"),
        ("ensembles: {a: []}", "ensemble a without members"),
        ("{", "expected"),
    ],
)
def test_a_mistake_in_the_file_of_variants(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path, text: str, found: str
) -> None:
    path = tmp_path / "variants.yaml"
    path.write_text(text)
    done = slicewise("ablate", tiny, path, "--set", f"data.root={scans}")
    assert done.returncode != 0
    assert found in done.stderr
    assert "Traceback" not in done.stderr


def test_a_variant_cannot_move_held_out_cases_into_its_training(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "variants.yaml", tmp_path / "out"
    path.write_text("variants: {other_folds: [data.fold_seed=1]}")
    done = slicewise("ablate", tiny, path, "--set", f"data.root={scans}", "--out", out)
    assert done.returncode == 2
    assert "variant other_folds" in done.stderr
    assert "data.fold_seed: 12345" in done.stderr
    assert not out.exists()


def test_another_data_set_is_trained_on_again(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "variants.yaml", tmp_path / "out"
    path.write_text("variants: {}")
    call = ("ablate", tiny, path, "--out", out, "--work", tmp_path / "work")
    assert slicewise(*call, "--set", f"data.root={scans}").returncode == 0
    before = (out / "base" / "seed-0" / "finished.json").read_text()
    # The same names with other content.
    others = Path(shutil.copytree(scans, tmp_path / "others"))
    for number in range(6):
        image = scans / "images" / f"case{number}.nii.gz"
        shutil.copy(image, others / "images" / f"case{(number + 1) % 6}.nii.gz")
    assert slicewise(*call, "--set", f"data.root={others}").returncode == 0
    assert (out / "base" / "seed-0" / "finished.json").read_text() != before


def test_a_change_that_is_refused_is_named_before_anything_is_trained(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path
) -> None:
    path = tmp_path / "variants.yaml"
    path.write_text("variants: {wrong: [training.optimizer=adamm]}")
    out = tmp_path / "out"
    done = slicewise("ablate", tiny, path, "--set", f"data.root={scans}", "--out", out)
    assert done.returncode != 0
    assert "training.optimizer" in done.stderr
    assert not out.exists()
