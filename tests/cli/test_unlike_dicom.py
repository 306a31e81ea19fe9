"""A DICOM series of another sequence than those of the training is named, with the facts."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from slicewise.dataset.demo.dicom import write_dicom_series
from slicewise.imaging.nifti.writing import write_mask
from slicewise.imaging.volume import Volume

Slicewise = Callable[..., Any]


def write_series(folder: Path, seed: int, echo_time_ms: float, sequence: str, **more: Any) -> None:
    """A noisy series with a bright block, and its label map."""
    random = np.random.default_rng(seed)
    label = np.zeros((22, 19, 5), np.uint8)
    label[6:14, 4:10, 1:4] = 3
    voxels = (random.normal(100, 5, label.shape) + 200 * (label > 0)).astype(np.uint16)
    scan = Volume(voxels, np.diag([-1.5, -1.2, 4.0, 1.0]), f"P{seed}")
    write_dicom_series(scan, folder, f"SYNTHETIC-{seed}")
    for path in folder.glob("*.dcm"):
        header = dcmread(path)
        header.EchoTime, header.ScanningSequence, header.RepetitionTime = (
            echo_time_ms, sequence, 9.5 + 0.1 * seed,
        )  # fmt: skip
        for keyword, value in more.items():
            setattr(header, keyword, value)
        header.save_as(path)
    write_mask(scan.with_voxels(label), scan, folder / "label.nii.gz")


@pytest.mark.slow
@pytest.mark.fault(134, "W")
@pytest.mark.fault(134, "E")
def test_a_series_of_another_sequence_is_named(
    slicewise: Slicewise, tiny: Path, work: Path, tmp_path: Path
) -> None:
    training, later = tmp_path / "training", tmp_path / "later"
    for number in range(8):
        write_series(training / f"p{number}", number, 2.1 + 0.2 * number, "GR")
    model = tmp_path / "model"
    done = slicewise(
        *("train", tiny, "--set", f"data.root={training}", "--set", "data.patient_pattern=null"),
        *("--set", "name=dicom", "--out", model, "--work", work),
    )
    assert done.returncode == 0, done.stderr
    # The voxels of a scan of the training: of new ones, one in nine is further away than all eight.
    write_series(later / "like", 3, 2.6, "GR")
    write_series(later / "spin_echo", 21, 98.0, "SE", RepetitionTime=4000.0)
    for name in ("like", "spin_echo"):
        (later / name / "label.nii.gz").unlink()

    masks = tmp_path / "masks"
    done = slicewise("predict", model, later, "--out", masks, "--work", work)
    assert done.returncode == 8, done.stderr
    assert "echo time 98 ms; training had 2.1 to 3.5 ms" in done.stderr
    assert "scanning sequence SE; training had GR" in done.stderr
    assert "repetition time 4,000 ms; training had 9.5 to 10.2 ms" in done.stderr
    rows = list(csv.DictReader((masks / "confidence.csv").read_text().splitlines()))
    assert [bool(row["unlike"]) for row in rows] == [True, False], rows

    asked = ("--refuse-unlike", "--out", tmp_path / "refused", "--work", work)
    done = slicewise("predict", model, later, *asked)
    assert done.returncode == 8, done.stderr
    assert len(list((tmp_path / "refused").glob("*.nii.gz"))) == 1
