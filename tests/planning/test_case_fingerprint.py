"""Scans on disk in, their measured figures out; by hand, on axes that all differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicewise.config import Config, parse_config
from slicewise.dataset.layouts import read_catalogue
from slicewise.errors import DataError
from slicewise.imaging.scan import read_scan
from slicewise.imaging.volume import Volume
from slicewise.planning.case_fingerprint import MeasuredCase, measure_cases
from slicewise.planning.cohort_fingerprint import assemble_fingerprint, named_labels, unusable_cases
from slicewise.planning.fingerprint import Fingerprint

Write = Callable[..., None]
SHAPE = (12, 10, 8)


def config_of(folder: Path, *overrides: str) -> Config:
    text = "name: trial\ndata: {}\ntraining: {steps: 1}\n"
    return parse_config(text, "trial", [f"data.root={folder}", *overrides])


def measured(folder: Path, *overrides: str) -> dict[str, MeasuredCase]:
    config = config_of(folder, *overrides)
    found = measure_cases(read_catalogue(config.data), config, workers=2)
    return {one.checked.name: one for one in found}


def voxels(seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    image = random.integers(50, 200, SHAPE).astype(np.int16)
    image[:, :, :2] = 0
    return image


def label() -> np.ndarray:
    """A block of 3 x 2 x 4 and, of another value, two blocks and a speck."""
    values = np.zeros(SHAPE, dtype=np.uint8)
    values[1:4, 2:4, 3:7] = 7
    values[6:8, 1:4, 2:3] = 200
    values[9:11, 6:9, 4:6] = 200
    values[11, 0, 0] = 200
    return values


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory, write_case: Write) -> Path:
    """a is sound, b an image as label, c fractions, d negative, e empty, f is sound, too."""
    folder = tmp_path_factory.mktemp("spoilt")
    write_case(folder, "a", voxels(1), label())
    write_case(folder, "b", voxels(2), voxels(3))
    write_case(folder, "c", voxels(4), label() * 0.5)
    write_case(folder, "d", voxels(5), label().astype(np.int16) * -1)
    write_case(folder, "e", voxels(6), label() * 0)
    write_case(folder, "f", voxels(7), label().astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def found(spoilt: Path) -> dict[str, MeasuredCase]:
    return measured(spoilt)


def test_what_is_measured_of_a_case(found: dict[str, MeasuredCase]) -> None:
    case = found["a"].fingerprint
    assert case is not None
    assert (case.shape, case.orientation) == (SHAPE, "LAS")
    assert case.spacing_mm == pytest.approx((1.0, 1.2, 3.0))
    assert case.anisotropy == pytest.approx(3.0)
    # Two of eight slices are 0.
    assert case.contrasts["image"].zero_fraction == pytest.approx(0.25)
    assert case.contrasts["image"].intensities.lowest == 0
    assert set(case.structures) == {7, 200}
    block = case.structures[7]
    assert (block.voxels, block.components) == (24, 1)
    assert block.extent_mm == pytest.approx((3.0, 2.4, 12.0))
    # The speck is counted as voxel and as extent, but not as a piece.
    blocks = case.structures[200]
    assert (blocks.voxels, blocks.components) == (6 + 12 + 1, 2)
    assert blocks.extent_mm == pytest.approx((6.0, 10.8, 18.0))
    assert case.extent_mm == pytest.approx((11.0, 10.8, 21.0))
    assert case.shared_slices == {}


def test_slices_that_touching_structures_share(tmp_path: Path, write_case: Write) -> None:
    label = np.zeros((9, 8, 7), np.uint8)
    label[2:5, 1:4, 1:6] = 5
    label[2:5, 4:7, 2:5] = 2  # ends where the one behind it begins
    label[5, 2:4, 1] = 200  # beside it
    label[7, 1:7, 1:6] = 9  # touches none
    label[1, 0, 0] = 31  # touches at an edge alone
    voxels = np.random.default_rng(1).integers(1, 200, label.shape).astype(np.int16)
    write_case(tmp_path, "a", voxels, label)
    case = measured(tmp_path)["a"].fingerprint
    assert case is not None
    assert case.shared_slices == {(2, 5): (3, 0, 3), (5, 200): (0, 2, 1)}


def test_float_labels_of_whole_numbers_are_fine(found: dict[str, MeasuredCase]) -> None:
    case = found["f"].fingerprint
    assert case is not None
    assert set(case.structures) == {7, 200}


@pytest.mark.parametrize(
    ("name", "said"), [("b", "like an image"), ("c", "whole numbers"), ("d", "negative values")]
)
def test_labels_that_are_none(found: dict[str, MeasuredCase], name: str, said: str) -> None:
    assert found[name].fingerprint is None
    assert said in found[name].checked.problems[0]


def test_the_rest_goes_on(found: dict[str, MeasuredCase], spoilt: Path) -> None:
    config = config_of(spoilt)
    fingerprint = assemble_fingerprint(
        list(found.values()), config, {"core": 7, "ghost": 9}, read_catalogue(config.data)
    )
    assert [case.name for case in fingerprint.cases] == ["a", "e", "f"]
    assert fingerprint.labels == {"core": 7, "label_200": 200}
    assert sorted(item.name for item in unusable_cases(found.values())) == ["b", "c", "d"]


def test_a_missing_contrast_is_left_out(tmp_path: Path, write_case: Write) -> None:
    write_case(tmp_path, "a", voxels(1), label())
    image, labels = tmp_path / "images" / "a.nii.gz", tmp_path / "labels" / "a.nii.gz"
    lines = ["case,contrast,image,label", f"p,T1,{image},{labels}"]
    (tmp_path / "dataset.csv").write_text("\n".join(lines) + "\n")
    options = ("data.contrasts=[T1, T2]", "data.missing_contrasts=zero")
    (one,) = measured(tmp_path / "dataset.csv", *options).values()
    assert one.fingerprint is not None
    assert set(one.fingerprint.contrasts) == {"T1"}


def assembled(root: Path, *overrides: str) -> Fingerprint:
    found, config = measured(root, *overrides), config_of(root, *overrides)
    return assemble_fingerprint(list(found.values()), config, {}, read_catalogue(config.data))


def test_a_manifest_that_tells_the_patients_is_believed(tmp_path: Path, write_case: Write) -> None:
    names = [f"P{number}_{side}" for number in range(3) for side in "ab"]
    lines = ["case,image,label", *(f"{n},images/{n}.nii.gz,labels/{n}.nii.gz" for n in names)]
    for number, name in enumerate(names):
        write_case(tmp_path, name, voxels(number), label())
    manifest = tmp_path / "dataset.csv"
    manifest.write_text("\n".join(lines) + "\n")
    guessed = assembled(manifest).likely_patients
    assert guessed is not None
    assert guessed.pattern == r"^P(\d+)"
    # A pattern beside the column would not count in a training.
    told = [f"{line},{line.partition(',')[0]}" for line in lines[1:]]
    manifest.write_text("\n".join([f"{lines[0]},patient", *told]) + "\n")
    assert assembled(manifest).likely_patients is None
    assert assembled(manifest).patients == 6


def test_every_scan_is_read_once(
    tmp_path: Path, write_case: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        write_case(tmp_path, name, voxels(ord(name)), label())
    row = "p,{0},images/{1}.nii.gz,labels/a.nii.gz"
    lines = ["case,contrast,image,label", row.format("T1", "a"), row.format("T2", "b")]
    (tmp_path / "dataset.csv").write_text("\n".join(lines) + "\n")
    read: list[Path] = []

    def counted(source: Path, *rest: Any) -> Volume:
        read.append(source)
        return read_scan(source, *rest)

    monkeypatch.setattr("slicewise.dataset.contrasts.read_scan", counted)
    monkeypatch.setattr("slicewise.planning.case_fingerprint.read_scan", counted, raising=False)
    monkeypatch.setattr(
        "slicewise.planning.case_fingerprint.run_on_scans",
        lambda measure, tasks, _: ((task, measure(task)) for task in tasks),
    )
    config = config_of(tmp_path / "dataset.csv", "data.contrasts=[T1, T2]")
    (one,) = measure_cases(read_catalogue(config.data), config, workers=1)
    assert one.fingerprint is not None
    assert set(one.fingerprint.contrasts) == {"T1", "T2"}
    assert [path.name for path in read] == ["a.nii.gz", "b.nii.gz"]


def test_a_single_patient(tmp_path: Path, write_case: Write) -> None:
    write_case(tmp_path, "P1_a", voxels(1), label())
    with pytest.raises(DataError, match="at least two patients") as caught:
        assembled(tmp_path)
    assert "1 usable labelled case of one patient" in caught.value.found
    assert caught.value.remedy == "add labelled cases of other patients"
    write_case(tmp_path, "P1_b", voxels(2), label())
    with pytest.raises(DataError, match="the same patient for all 2 cases"):
        assembled(tmp_path, r"data.patient_pattern=P(\d)")


def test_copies_of_one_scan_are_no_two_patients(tmp_path: Path, write_case: Write) -> None:
    for name in "ab":
        write_case(tmp_path, name, voxels(1), label())
    with pytest.raises(DataError, match=r"of one patient; left out by .*: b \(copy of a\)"):
        assembled(tmp_path, "data.duplicates=keep_first")


def test_only_empty_labels(tmp_path: Path, write_case: Write) -> None:
    for number, name in enumerate("ab"):
        write_case(tmp_path, name, voxels(number), label() * 0)
    with pytest.raises(DataError, match="2 label maps, all empty"):
        assembled(tmp_path)


def test_only_unusable(tmp_path: Path, write_case: Write) -> None:
    for number, name in enumerate("ab"):
        write_case(tmp_path, name, voxels(number), label() * 0.5)
    with pytest.raises(DataError, match="a: expected whole numbers"):
        assembled(tmp_path)


def test_the_same_scan_twice(tmp_path: Path, write_case: Write) -> None:
    for name in "ab":
        write_case(tmp_path, name, voxels(1), label())
    with pytest.raises(DataError, match="a, b"):
        assembled(tmp_path)


def test_given_labels_must_name_every_value(tmp_path: Path, write_case: Write) -> None:
    write_case(tmp_path, "a", voxels(1), label())
    write_case(tmp_path, "b", voxels(2), np.minimum(label(), 7))
    with pytest.raises(DataError, match=r"found:    200 as well") as caught:
        assembled(tmp_path, "data.labels={core: 7}")
    # The one that has nothing but 7 is not named.
    assert caught.value.where.endswith(": a")


def test_names_of_values() -> None:
    assert named_labels({200, 7}, {"core": 7}) == {"core": 7, "label_200": 200}
