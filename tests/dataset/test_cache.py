"""The slice cache: keyed by content, never half written, and one bad scan stops nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from pipeline.config import Config, DataSection, PreprocessingSection, TrainingSection
from pipeline.dataset import cache
from pipeline.dataset.cache import CachedCase, Prepared, case_key, collect, prepare
from pipeline.dataset.catalogue import Case
from pipeline.dataset.layouts import read_catalogue
from pipeline.dataset.preprocessing import Preprocessing, to_slices
from pipeline.errors import DataError, OutputError, ScanError

Pair = Callable[..., Path]
LABELS = {"first": 2, "second": 5}


def in_this_process(
    function: Callable[[Any], Any], items: Iterable[Any], workers: int
) -> Iterator[tuple[Any, Any]]:
    del workers
    for item in items:
        try:
            yield item, function(item)
        except ScanError as error:
            yield item, error


@pytest.fixture
def serial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "run_in_workers", in_this_process)


def config(root: Path, **data: Any) -> Config:
    return Config(
        name="trial",
        data=DataSection(root=root, **({"labels": LABELS} | data)),
        training=TrainingSection(epochs=1),
    )


def prepared(experiment: Config, work: Path) -> Prepared:
    catalogue = read_catalogue(experiment.data)
    results = dict(prepare(catalogue, experiment, work, workers=1))
    return collect(catalogue, results, experiment, work)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def put_nan(path: Path) -> None:
    image = nib.load(path)
    voxels = image.get_fdata(dtype=np.float32)
    voxels[2, 3, 4] = np.nan
    nib.save(nib.Nifti1Image(voxels, image.affine), path)


# Keys


@pytest.fixture
def case(pair: Pair) -> Case:
    (case,) = read_catalogue(DataSection(root=pair("a"), labels=LABELS)).cases
    return case


SECTION = PreprocessingSection()
DATA = DataSection(labels=LABELS)


def test_key_does_not_depend_on_names(case: Case, tmp_path: Path) -> None:
    assert isinstance(case.images[0], Path)
    assert isinstance(case.label, Path)
    image = case.images[0].rename(tmp_path / "other.nii.gz")
    before = case_key(Case("a", "p", (image,), case.label), SECTION, DATA)
    label = case.label.rename(tmp_path / "label.nii.gz")
    renamed = DATA.model_copy(update={"labels": {"left": 2, "right": 5}})
    assert case_key(Case("b", "q", (image,), label), SECTION, renamed) == before


def test_key_depends_on_bytes_of_image_and_label(case: Case) -> None:
    keys = {case_key(case, SECTION, DATA)}
    for source in (*case.images, case.label):
        assert isinstance(source, Path)
        with source.open("ab") as stream:
            stream.write(b"\0")
        keys.add(case_key(case, SECTION, DATA))
    assert len(keys) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"plane": "coronal"},
        {"spacing_mm": (1.0, 1.0)},
        {"foreground": "all"},
        {"clip_percentiles": (1, 99)},
        {"crop_foreground": True},
    ],
)
def test_key_depends_on_every_preprocessing_key(case: Case, change: dict[str, Any]) -> None:
    other = PreprocessingSection(**change)
    assert case_key(case, other, DATA) != case_key(case, SECTION, DATA)


def test_key_depends_on_format_version_and_label_values(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = case_key(case, SECTION, DATA)
    swapped = DATA.model_copy(update={"labels": {"first": 5, "second": 2}})
    assert case_key(case, SECTION, swapped) != before
    monkeypatch.setattr(cache, "FORMAT_VERSION", cache.FORMAT_VERSION + 1)
    assert case_key(case, SECTION, DATA) != before


def test_key_depends_on_the_order_of_contrasts(case: Case) -> None:
    assert case.label is not None
    there = Case("a", "a", (case.images[0], case.label), case.label)
    back = Case("a", "a", (case.label, case.images[0]), case.label)
    assert case_key(there, SECTION, DATA) != case_key(back, SECTION, DATA)


def test_key_of_a_dicom_folder_depends_on_its_files(
    tmp_path: Path, write_series: Callable[[Path, str], Path]
) -> None:
    one = Case("a", "a", (write_series(tmp_path / "one", "a"),), None)
    same = Case("b", "b", (write_series(tmp_path / "two", "a"),), None)
    other = Case("c", "c", (write_series(tmp_path / "three", "b"),), None)
    keys = [case_key(case, SECTION, DATA) for case in (one, same, other)]
    assert keys[0] == keys[1] != keys[2]


# Entries


def test_entries_hold_the_slices_in_worker_processes(pair: Pair, tmp_path: Path, scan: Any) -> None:
    experiment = config(pair("b", "a"))
    found = prepared(experiment, tmp_path / "work")
    assert [case.name for case in found.cases] == ["a", "b"]
    chain = Preprocessing(experiment.preprocessing, experiment.data)
    for case in found.cases:
        source = read_catalogue(experiment.data).case(case.name)
        loaded, axis = chain.load(source.images, source.label)
        image = to_slices(loaded["image"].as_tensor(), axis)
        assert case.image.shape == (6, 1, 10, 13)
        np.testing.assert_allclose(case.image, image, atol=2e-3)
        np.testing.assert_array_equal(
            case.label, np.searchsorted([0, 2, 5], scan.label).transpose(2, 0, 1)
        )
    rows = lines(tmp_path / "work" / "cache" / "trial" / "manifest.jsonl")
    assert rows[0] == {
        "name": "a",
        "patient": "a",
        "key": found.cases[0].key,
        "slices": 6,
        "channels": 1,
        "height": 10,
        "width": 13,
        "labelled_voxels": int(np.count_nonzero(scan.label)),
        "warnings": [],
    }


@pytest.mark.usefixtures("serial")
def test_points_are_labelled_voxels_of_every_class(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAXIMUM_POINTS_A_CLASS", 7)
    (case,) = prepared(config(pair("a")), tmp_path / "work").cases
    assert set(case.points[:, 0]) == {1, 2}
    for number in (1, 2):
        points = case.points[case.points[:, 0] == number]
        assert 1 < len(points) <= 7
        # Spread over the structure, not its first voxels only.
        assert len(set(points[:, 1])) > 1
        assert (case.label[tuple(points[:, 1:].T)] == number).all()


@pytest.mark.usefixtures("serial")
def test_a_second_run_computes_and_writes_nothing_again(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, work = config(pair("a", "b")), tmp_path / "work"
    first = prepared(experiment, work)
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.npy")}
    assert len(before) == 6
    monkeypatch.delattr(cache, "Preprocessing")
    second = prepared(experiment, work)
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*.npy")} == before
    assert second == first


@pytest.mark.usefixtures("serial")
def test_a_changed_scan_gets_a_new_entry(pair: Pair, tmp_path: Path) -> None:
    experiment, work = config(pair("a", "b")), tmp_path / "work"
    first = prepared(experiment, work)
    root = experiment.data.root
    assert root is not None
    (root / "images" / "b.nii.gz").replace(root / "images" / "a.nii.gz")
    (root / "labels" / "b.nii.gz").unlink()
    (second,) = prepared(experiment, work).cases
    assert second.name == "a"
    assert second.key == first.cases[1].key
    assert second.key != first.cases[0].key


@pytest.mark.usefixtures("serial")
def test_entries_left_half_written_do_no_harm(pair: Pair, tmp_path: Path) -> None:
    experiment, work = config(pair("a")), tmp_path / "work"
    catalogue = read_catalogue(experiment.data)
    key = case_key(catalogue.cases[0], experiment.preprocessing, experiment.data)
    half = work / "cache" / key[:2] / ".part-killed"
    half.mkdir(parents=True)
    (half / "image.npy").write_bytes(b"half")
    (case,) = prepared(experiment, work).cases
    assert case.folder == work / "cache" / key[:2] / key
    assert case.image.shape == (6, 1, 10, 13)


@pytest.mark.usefixtures("serial")
def test_a_failing_disk_leaves_no_entry(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, work = config(pair("a")), tmp_path / "work"
    catalogue = read_catalogue(experiment.data)
    save = np.save

    def full(path: Path, array: np.ndarray) -> None:
        if path.name == "label.npy":
            raise OSError(28, "No space left on device")
        save(path, array)

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(OutputError, match="No space left on device") as caught:
            dict(prepare(catalogue, experiment, work, 1))
    assert "bytes" in caught.value.expected
    assert not list(work.rglob("*.npy"))
    assert len(prepared(experiment, work).cases) == 1


@pytest.mark.usefixtures("serial")
def test_a_damaged_entry_is_made_again(pair: Pair, tmp_path: Path) -> None:
    experiment, work = config(pair("a")), tmp_path / "work"
    (case,) = prepared(experiment, work).cases
    whole = case.image.copy()
    (case.folder / "image.npy").write_bytes(b"")
    (again,) = prepared(experiment, work).cases
    np.testing.assert_array_equal(again.image, whole)


@pytest.mark.usefixtures("serial")
def test_the_same_scan_under_two_names_stops(pair: Pair, tmp_path: Path) -> None:
    root = pair("a", "b")
    for folder in ("images", "labels"):
        shutil.copy(root / folder / "a.nii.gz", root / folder / "c.nii.gz")
    with pytest.raises(DataError, match="the same image and label as a") as caught:
        prepared(config(root), tmp_path / "work")
    assert caught.value.where.endswith(": c")


# Bad scans


@pytest.mark.usefixtures("serial")
@pytest.mark.parametrize(
    ("damage", "reason"), [(truncate, "truncated"), (put_nan, "1 NaN or infinite voxels")]
)
def test_a_bad_scan_is_set_aside_with_its_reason(
    pair: Pair, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    root, work = pair("a", "b", "c"), tmp_path / "work"
    damage(root / "images" / "b.nii.gz")
    found = prepared(config(root), work)
    assert [case.name for case in found.cases] == ["a", "c"]
    path = work / "cache" / "trial" / "quarantine.jsonl"
    (row,) = lines(path)
    assert row["name"] == "b"
    assert row["where"] == str(root / "images" / "b.nii.gz")
    assert reason in row["reason"]
    assert row["remedy"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [item.name for item in found.set_aside] == ["b"]


@pytest.mark.usefixtures("serial")
def test_unpaired_scans_stand_in_the_quarantine_list(pair: Pair, tmp_path: Path) -> None:
    root = pair("a", "b")
    (root / "labels" / "b.nii.gz").unlink()
    prepared(config(root, allow_unpaired=True), tmp_path / "work")
    (row,) = lines(tmp_path / "work" / "cache" / "trial" / "quarantine.jsonl")
    assert (row["name"], row["reason"]) == ("b", "image without label")


@pytest.mark.usefixtures("serial")
def test_nothing_usable_is_an_error_with_the_reasons(pair: Pair, tmp_path: Path) -> None:
    root = pair("a", "b")
    for path in (root / "images").iterdir():
        put_nan(path)
    with pytest.raises(DataError, match="at least one usable labelled case") as caught:
        prepared(config(root), tmp_path / "work")
    assert "a: expected finite voxels" in caught.value.found
    assert len(lines(tmp_path / "work" / "cache" / "trial" / "quarantine.jsonl")) == 2


def test_no_labels_at_all_is_an_error(pair: Pair, tmp_path: Path) -> None:
    root = pair("a", "b")
    experiment = config(root / "images", layout="dicom")
    with pytest.raises(DataError, match="no labels at all"):
        prepared(experiment, tmp_path / "work")


@pytest.mark.usefixtures("serial")
def test_unnamed_label_values_stop_and_name_the_cases(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set: a, b") as caught:
        prepared(config(pair("b", "a"), labels={"first": 2}), tmp_path / "work")
    assert caught.value.found == "[5] as well"
    assert "data.labels" in caught.value.remedy


@pytest.mark.usefixtures("serial")
def test_a_file_that_vanishes_is_set_aside(pair: Pair, tmp_path: Path) -> None:
    experiment = config(pair("a", "b"))
    catalogue = read_catalogue(experiment.data)
    label = catalogue.case("b").label
    assert isinstance(label, Path)
    label.unlink()
    results = dict(prepare(catalogue, experiment, tmp_path / "work", 1))
    assert isinstance(results["a"], CachedCase)
    error = results["b"]
    assert isinstance(error, ScanError)
    assert (error.where, error.found) == (str(label), "No such file or directory")


def test_a_work_folder_that_cannot_be_written(pair: Pair, tmp_path: Path) -> None:
    experiment = config(pair("a"))
    (tmp_path / "work").write_text("a file")
    with pytest.raises(OutputError, match="a place that can be written"):
        list(prepare(read_catalogue(experiment.data), experiment, tmp_path / "work", 1))


def test_chosen_cases_keep_the_order_of_the_names(tmp_path: Path) -> None:
    cases = tuple(CachedCase(name, name, name, tmp_path) for name in "abc")
    chosen = Prepared(cases, ()).chosen(["c", "gone", "a"])
    assert [case.name for case in chosen] == ["c", "a"]
