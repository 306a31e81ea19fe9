"""Pictures with masks of 255, as most such data sets have: trained on, predicted, evaluated."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from slicewise.imaging.pictures import read_picture, write_picture_mask
from slicewise.imaging.scan import read_label, read_scan
from slicewise.imaging.volume import Volume
from slicewise.reporting.figures.examples import Example, draw_examples

Slicewise = Callable[..., Any]

DISCS = """
name: discs
data: {labels: {disc: 255}, fold_count: 3}
preprocessing: {foreground: all}
network: {features: [4, 8], window: [16, 16], context_slices: 0}
training: {steps: 4, validations: 1, batch_size: 4, keep: last}
inference: {batch_size: 8}
tracking: {experiment: discs}
"""


def write_disc(root: Path, name: str, seed: int) -> None:
    """A bright disc on a noisy ground, 26 pixels wide and 19 high, and its mask of 255."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:19, :26]
    row, column = random.integers(5, 14), random.integers(5, 21)
    disc = (rows - row) ** 2 + (columns - column) ** 2 <= 12
    grey = random.normal(70, 6, disc.shape) + 120 * disc
    for folder, values in (("images", grey.round()), ("masks", 255 * disc)):
        (root / folder).mkdir(exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(root / folder / f"{name}.png")


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures with their masks."""
    root = tmp_path_factory.mktemp("discs")
    for number in range(12):
        write_disc(root, f"disc{number:02d}", number)
    return root


@pytest.fixture(scope="module")
def trained(
    slicewise: Slicewise, discs: Path, work: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a model that was trained on the pictures."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "discs.yaml").write_text(DISCS)
    done = slicewise(
        "train",
        folder / "discs.yaml",
        *("--set", f"data.root={discs}", "--out", folder / "model", "--work", work),
    )
    assert done.returncode == 0, done.stderr
    assert "a picture has no geometry" in done.stderr
    return folder / "model"


def stored(path: Path) -> NDArray[Any]:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_masks_of_held_out_pictures_are_pictures(trained: Path, discs: Path) -> None:
    masks = sorted((trained / "masks").glob("[!.]*"))
    assert len(masks) == 4
    for path in masks:
        assert stored(path).shape == stored(discs / "images" / path.name).shape
        assert set(np.unique(stored(path))) <= {0, 255}
    rows = list(csv.DictReader((trained / "scores.csv").read_text().splitlines()))
    assert {row["case"] for row in rows} == {path.stem for path in masks}


def test_scores_are_those_of_the_stored_pictures(trained: Path, discs: Path) -> None:
    for row in csv.DictReader((trained / "scores.csv").read_text().splitlines()):
        name = f"{row['case']}.png"
        ours, theirs = stored(trained / "masks" / name), stored(discs / "masks" / name)
        common = np.count_nonzero((ours == 255) & (theirs == 255))
        total = np.count_nonzero(ours == 255) + np.count_nonzero(theirs == 255)
        assert float(row["dice"]) == pytest.approx(2 * common / total, abs=1e-4)
        assert float(row["reference_px"]) == np.count_nonzero(theirs == 255)
        assert row["reference_ml"] == row["hd95_mm"] == ""


@pytest.mark.fault(140, "W")
def test_check_warns_once_and_counts_pixels(
    slicewise: Slicewise, discs: Path, tmp_path: Path
) -> None:
    findings, page = tmp_path / "f.json", tmp_path / "f.html"
    done = slicewise("check", discs, "--json", findings, "--html", page, "--work", tmp_path / "w")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "has no geometry" in line]
    assert line.startswith("disc00, disc01, disc02 and 9 more: warning: a picture has no geometry")
    case = json.loads(findings.read_text())["cases"][0]
    assert case["spacing_mm"] is None
    mask = stored(discs / "masks" / "disc00.png")
    assert case["structures"] == {"255": np.count_nonzero(mask)}
    text = re.sub("<(style|script).*?</", "", page.read_text(), flags=re.DOTALL)
    shown = done.stdout + done.stderr + text
    assert not re.search(r"\d (mm|ml)\b", shown)
    assert f"{np.count_nonzero(mask)} px" in shown


def test_evaluate_writes_the_rows_that_training_wrote(
    slicewise: Slicewise, trained: Path, discs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    config = ("--config", trained / "config.yaml")
    done = slicewise("evaluate", trained / "masks", discs / "masks", "--out", out, *config)
    assert done.returncode == 0, done.stderr
    assert "HD95 px" in done.stdout
    of_training = ["patient", "calibration_error", "confidence"]
    ours, theirs = (
        pd.read_csv(path).drop(columns=of_training) for path in (out, trained / "scores.csv")
    )
    pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_prediction_is_a_picture_of_the_same_size(
    trained: Path, discs: Path, tmp_path: Path, suffix: str
) -> None:
    from slicewise.segmentation.inference import Predictor

    predictor = Predictor.from_checkpoint(trained / "last.pt")
    scan = read_picture(discs / "images" / "disc03.png", predictor.config.reading)
    mask = predictor.predict(scan)
    write_picture_mask(mask, tmp_path / f"mask{suffix}")
    written = stored(tmp_path / f"mask{suffix}")
    assert written.shape == (19, 26)
    assert written.dtype == np.uint8
    assert set(np.unique(written)) <= {0, 255}
    np.testing.assert_array_equal(written, mask.voxels[:, :, 0].T)


def test_examples_show_a_picture_upright(tmp_path: Path) -> None:
    """The quarters of a picture are found again in the panel that shows it."""
    quarters = np.array([[30, 90], [160, 250]], dtype=np.uint8).repeat(20, 0).repeat(30, 1)
    Image.fromarray(quarters).save(tmp_path / "a.png")
    scan = read_scan(tmp_path / "a.png")
    empty = scan.with_voxels(np.zeros(scan.shape, np.uint8))
    draw_examples([Example("a", scan, empty)], {"disc": 255}, tmp_path / "shown.png")
    left = stored(tmp_path / "shown.png")[:, :330, 0].astype(int)
    # From 30 to 250 is from black to white.
    middles = {
        grey: np.argwhere(np.abs(left - (grey - 30) / 220 * 255) < 1.5).mean(axis=0)
        for grey in (30, 90, 160, 250)
    }
    for above, below in ((30, 160), (90, 250)):
        assert middles[below][0] - middles[above][0] > 50
        assert middles[below][1] == pytest.approx(middles[above][1], abs=8)
    for on_the_left, on_the_right in ((30, 90), (160, 250)):
        assert middles[on_the_right][1] - middles[on_the_left][1] > 80


def test_a_mask_of_another_size_is_set_aside(
    slicewise: Slicewise, discs: Path, tmp_path: Path
) -> None:
    root = tmp_path / "spoilt"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
        for path in (discs / folder).iterdir():
            (root / folder / path.name).write_bytes(path.read_bytes())
    Image.fromarray(np.zeros((26, 19), np.uint8)).save(root / "masks" / "disc05.png")
    (tmp_path / "discs.yaml").write_text(DISCS)
    done = slicewise(
        "preprocess",
        tmp_path / "discs.yaml",
        *("--set", f"data.root={root}", "--work", tmp_path / "work"),
    )
    assert done.returncode == 8
    assert "disc05: expected the size of its image: 26 x 19 x 1, found 19 x 26 x 1" in done.stderr


def test_an_explicit_plane_that_cuts_pictures_into_lines_is_named(
    slicewise: Slicewise, discs: Path, tmp_path: Path
) -> None:
    (tmp_path / "discs.yaml").write_text(DISCS)
    arguments = ("--set", f"data.root={discs}", "--work", tmp_path / "work")
    plane = ("--set", "preprocessing.plane=coronal")
    done = slicewise("preprocess", tmp_path / "discs.yaml", *arguments, *plane)
    assert done.returncode == 1
    assert "preprocessing.plane is coronal" in done.stderr


def test_the_mask_of_a_picture_is_a_label_of_it(discs: Path) -> None:
    scan = read_scan(discs / "images" / "disc00.png")
    label: Volume = read_label(discs / "masks" / "disc00.png", scan)
    inside = label.voxels == 255
    assert scan.voxels[inside].min() > scan.voxels[~inside].max()


@pytest.mark.fault(140, "W")
def test_sizes_of_masks_without_spacing_are_pixels(
    slicewise: Slicewise, trained: Path, discs: Path, work: Path, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    done = slicewise("predict", trained, discs / "images", "--out", masks, "--work", work)
    assert done.returncode in (0, 8), done.stderr
    assert not re.search(r"\d (mm|ml)\b", done.stdout)
    for row in csv.DictReader((masks / "confidence.csv").read_text().splitlines()):
        mask = stored(masks / f"{row['scan']}.png")
        assert (row["volume_ml"], float(row["volume_px"])) == ("", np.count_nonzero(mask))
    reported = slicewise("report", masks, "--out", tmp_path / "report", "--work", work)
    assert reported.returncode == 0, reported.stderr
    page = (tmp_path / "report" / "report.html").read_text()
    text = re.sub("<(style|script).*?</", "", page, flags=re.DOTALL)
    assert not re.search(r"\d (mm|ml)\b", text)
    assert "predicted px" in text
