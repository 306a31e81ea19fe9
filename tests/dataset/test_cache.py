"""The slice cache: keyed by content, never half written, and one bad scan stops nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from slicewise.config import Config, DataSection, ReadingSection, TrainingSection
from slicewise.dataset import cache, cache_entry
from slicewise.dataset import case_key as keys
from slicewise.dataset.cache import CachedCase, Prepared, collect, prepare
from slicewise.dataset.case_key import case_key
from slicewise.dataset.catalogue import Case
from slicewise.dataset.layouts import read_catalogue
from slicewise.dataset.preprocessing import Preprocessing, to_slices
from slicewise.errors import DataError, OutputError, ScanError
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.nifti.reading import NiftiVolume

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
    monkeypatch.setattr(cache, "run_on_scans", in_this_process)


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


def changed(**sections: dict[str, Any]) -> Config:
    """The configuration of the keys, with some fields of some sections replaced."""
    values: dict[str, Any] = {
        "name": "trial",
        "data": {"labels": LABELS},
        "training": {"epochs": 1},
    }
    return Config.model_validate(values | sections)


CONFIG = changed()


def test_key_depends_on_names_of_structures_alone(case: Case, tmp_path: Path) -> None:
    assert isinstance(case.images[0], Path)
    assert isinstance(case.label, Path)
    image = case.images[0].rename(tmp_path / "other.nii.gz")
    before = case_key(Case("a", "p", (image,), case.label), CONFIG)
    label = case.label.rename(tmp_path / "label.nii.gz")
    assert case_key(Case("b", "q", (image,), label), CONFIG) == before
    # What was found out about a case names its structures.
    renamed = changed(data={"labels": {"left": 2, "right": 5}})
    assert case_key(Case("b", "q", (image,), label), renamed) != before


def test_key_depends_on_bytes_of_image_and_label(case: Case) -> None:
    seen = {case_key(case, CONFIG)}
    for source in (*case.images, case.label):
        assert isinstance(source, Path)
        with source.open("ab") as stream:
            stream.write(b"\0")
        seen.add(case_key(case, CONFIG))
    assert len(seen) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"preprocessing": {"plane": "coronal"}},
        {"preprocessing": {"spacing_mm": (1.0, 1.0)}},
        {"preprocessing": {"foreground": "all"}},
        {"preprocessing": {"clip_percentiles": (1, 99)}},
        {"preprocessing": {"crop_foreground": True}},
        {"reading": {"nifti_form": "qform"}},
        {"reading": {"irregular_slices": "resample"}},
        {"reading": {"non_finite": "zero"}},
    ],
)
def test_key_depends_on_every_key_of_reading_and_preprocessing(
    case: Case, change: dict[str, Any]
) -> None:
    assert case_key(case, changed(**change)) != case_key(case, CONFIG)


def test_key_depends_on_format_version_and_label_values(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = case_key(case, CONFIG)
    swapped = changed(data={"labels": {"first": 5, "second": 2}})
    assert case_key(case, swapped) != before
    monkeypatch.setattr(keys, "FORMAT_VERSION", keys.FORMAT_VERSION + 1)
    assert case_key(case, CONFIG) != before


def test_key_depends_on_the_order_of_contrasts(case: Case) -> None:
    assert case.label is not None
    there = Case("a", "a", (case.images[0], case.label), case.label)
    back = Case("a", "a", (case.label, case.images[0]), case.label)
    assert case_key(there, CONFIG) != case_key(back, CONFIG)


def test_key_tells_which_contrast_is_missing(case: Case) -> None:
    first, other = case.images[0], case.label
    some = (
        Case("a", "a", (first, None, other), other),
        Case("a", "a", (first, other, None), other),
        Case("a", "a", (first, other), other),
    )
    assert len({case_key(one, CONFIG) for one in some}) == 3


def test_key_depends_on_the_names_of_several_contrasts(case: Case) -> None:
    both = Case("a", "a", (case.images[0], case.label), case.label)
    keys = [
        case_key(both, changed(data={"labels": LABELS, "contrasts": names}))
        for names in (("T1", "T2"), ("T1", "FLAIR"))
    ]
    assert keys[0] != keys[1]


def test_key_of_a_dicom_folder_depends_on_its_files(
    tmp_path: Path, write_series: Callable[[Path, str], Path]
) -> None:
    one = Case("a", "a", (write_series(tmp_path / "one", "a"),), None)
    same = Case("b", "b", (write_series(tmp_path / "two", "a"),), None)
    other = Case("c", "c", (write_series(tmp_path / "three", "b"),), None)
    found = [case_key(case, CONFIG) for case in (one, same, other)]
    assert found[0] == found[1] != found[2]


def test_key_of_a_series_depends_on_files_and_frames(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    (tmp_path / "y").write_bytes(b"y")

    def key(members: str, *frames: int) -> str:
        series = DicomSeries(
            "s", tmp_path, tuple(members), frames, 0, np.eye(4), (2, 3, len(frames)), "uint8"
        )
        return case_key(Case("a", "a", (series,), None), CONFIG)

    assert key("xy", 0, 0) == key("xy", 0, 0)
    assert len({key("xy", 0, 0), key("yx", 0, 0), key("xx", 0, 1), key("xx", 1, 0)}) == 4


def test_key_of_a_volume_depends_on_its_number(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"voxels")
    cases = [Case("a", "a", (NiftiVolume(tmp_path / "a.nii", n),), None) for n in (0, 1, 0)]
    first, second, again = (case_key(case, CONFIG) for case in cases)
    assert first == again != second


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
        "images": [str(read_catalogue(experiment.data).case("a").images[0])],
        "key": found.cases[0].key,
        "slices": 6,
        "channels": 1,
        "height": 10,
        "width": 13,
        "labelled_voxels": int(np.count_nonzero(scan.label)),
        # Empty slices at the ends are padding.
        "warnings": [],
        "copy_of": None,
    }


@pytest.mark.usefixtures("serial")
def test_points_are_labelled_voxels_of_every_class(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_entry, "MAXIMUM_POINTS_A_CLASS", 7)
    (case,) = prepared(config(pair("a")), tmp_path / "work").cases
    assert set(case.points[:, 0]) == {1, 2}
    for number in (1, 2):
        points = case.points[case.points[:, 0] == number]
        assert 1 < len(points) <= 7
        # Spread over the structure, not its first voxels only.
        assert len(set(points[:, 1])) > 1
        assert (case.label[tuple(points[:, 1:].T)] == number).all()


@pytest.mark.usefixtures("serial")
@pytest.mark.parametrize("spacing_mm", [None, (2.0, 2.0)])
def test_volumes_of_structures_are_those_of_the_scan(
    pair: Pair, tmp_path: Path, spacing_mm: Any
) -> None:
    sections = {"name": "trial", "training": {"epochs": 1}}
    data = {"root": pair("a"), "labels": LABELS}
    preprocessing = {"spacing_mm": spacing_mm}
    experiment = Config.model_validate({**sections, "data": data, "preprocessing": preprocessing})
    found = prepared(experiment, tmp_path / "work")
    # 18 voxels each of 0.9 x 1.3 x 3.5 mm.
    volume = pytest.approx(18 * 4.095e-3, abs=1e-4)
    assert found.structures_ml == {"a": {2: volume, 5: volume}}


@pytest.mark.usefixtures("serial")
def test_a_missing_contrast_is_zeros_and_a_warning(
    tmp_path: Path, scan: Any, write: Callable[..., Path]
) -> None:
    root = tmp_path / "set"
    for name, voxels in (("a_0000", scan.voxels), ("b_0000", np.roll(scan.voxels, 1, 0))):
        write(root / "imagesTr" / f"{name}.nii.gz", voxels, scan.affine)
        write(root / "labelsTr" / f"{name[0]}.nii.gz", scan.label, scan.affine)
    write(root / "imagesTr" / "b_0001.nii.gz", np.roll(scan.voxels, 2, 1), scan.affine)
    (root / "dataset.json").write_text("{}")
    with pytest.raises(DataError, match="case a without T2"):
        prepared(config(root, contrasts=("T1", "T2")), tmp_path / "work")
    zero = config(root, contrasts=("T1", "T2"), missing_contrasts="zero")
    a, b = prepared(zero, tmp_path / "work").cases
    assert a.image.shape == b.image.shape == (6, 2, 10, 13)
    assert a.image[:, 0].any()
    assert not a.image[:, 1].any()
    assert b.image[:, 1].any()
    assert a.checked.warnings == ["T2 is missing and replaced by zeros"]
    rows = lines(tmp_path / "work" / "cache" / "trial" / "manifest.jsonl")
    assert rows[0]["images"][1] is None


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
@pytest.mark.fault(65, "OK")
def test_changed_preprocessing_rebuilds_the_cache(pair: Pair, tmp_path: Path) -> None:
    experiment, work = config(pair("a")), tmp_path / "work"
    (before,) = prepared(experiment, work).cases
    section = experiment.preprocessing.model_copy(update={"spacing_mm": (2.0, 2.0)})
    changed = experiment.model_copy(update={"preprocessing": section})
    (after,) = prepared(changed, work).cases
    assert after.key != before.key
    assert after.image.shape != before.image.shape


@pytest.mark.usefixtures("serial")
def test_entries_left_half_written_do_no_harm(pair: Pair, tmp_path: Path) -> None:
    experiment, work = config(pair("a")), tmp_path / "work"
    catalogue = read_catalogue(experiment.data)
    key = case_key(catalogue.cases[0], experiment)
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
    assert re.search(r"room for [\d,]+ bytes", caught.value.expected)
    assert not list(work.rglob("*.npy"))
    assert len(prepared(experiment, work).cases) == 1


@pytest.mark.fault(101, "W")
@pytest.mark.usefixtures("serial")
@pytest.mark.parametrize("name", ["image.npy", "label.npy", "points.npy", "facts.json"])
@pytest.mark.parametrize("damage", ["bit", "empty", "gone", "folder"])
def test_a_damaged_entry_is_made_again(pair: Pair, tmp_path: Path, name: str, damage: str) -> None:
    experiment, work = config(pair("a")), tmp_path / "work"
    (case,) = prepared(experiment, work).cases
    assert not case.is_renewed
    path = case.folder / name
    whole = path.read_bytes()
    spoil(path, damage)
    (again,) = prepared(experiment, work).cases
    assert again.is_renewed
    assert path.read_bytes() == whole
    (third,) = prepared(experiment, work).cases
    assert not third.is_renewed


def spoil(path: Path, damage: str) -> None:
    """Damage a file of an entry."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()
    if damage == "bit":
        path.write_bytes(content)
    elif damage == "empty":
        path.touch()
    elif damage == "folder":
        path.mkdir()


def same(scan: Any) -> Any:
    return scan


def turned(scan: Any) -> Any:
    return scan.stored((2, 0, 1), (0, 1))


def without_header(scan: Any) -> Any:
    """Stored in another order, whose header was lost; the label likewise."""
    stored = scan.stored((1, 0, 2), (1,))
    return replace(stored, affine=np.eye(4))


def rescaled(scan: Any) -> Any:
    return replace(scan, voxels=(scan.voxels * 0.37 - 20).astype(np.float32))


def relabelled_copy(scan: Any) -> Any:
    return replace(scan, label=np.roll(scan.label, 1, axis=0))


@pytest.mark.usefixtures("serial")
@pytest.mark.fault(62, "E")
@pytest.mark.fault(104, "E")
@pytest.mark.parametrize("change", [same, turned, without_header, rescaled, relabelled_copy])
def test_the_same_scan_under_two_names_stops(
    pair: Pair, tmp_path: Path, scan: Any, write: Callable[..., Path], change: Any
) -> None:
    root, copy = pair("a", "b"), change(scan)
    write(root / "images" / "c.nii", copy.voxels, copy.affine)
    write(root / "labels" / "c.nii", copy.label, copy.affine)
    with pytest.raises(DataError, match="the same scan under several names: a, c") as caught:
        prepared(config(root), tmp_path / "work")
    assert "data.duplicates=keep_first" in caught.value.remedy


@pytest.mark.usefixtures("serial")
@pytest.mark.fault(104, "W")
def test_the_first_of_two_copies_may_be_kept(pair: Pair, tmp_path: Path) -> None:
    root, work = pair("a", "b"), tmp_path / "work"
    for folder in ("images", "labels"):
        shutil.copy(root / folder / "a.nii.gz", root / folder / "c.nii.gz")
    found = prepared(config(root, duplicates="keep_first"), work)
    assert [case.name for case in found.cases] == ["a", "b"]
    assert found.set_aside == ()
    assert found.notes[0] == "left out by data.duplicates: c (copy of a)"
    rows = lines(work / "cache" / "trial" / "manifest.jsonl")
    assert [(row["name"], row["copy_of"]) for row in rows] == [("a", None), ("b", None), ("c", "a")]


@pytest.mark.usefixtures("serial")
@pytest.mark.fault(135, "E")
def test_label_maps_among_the_images_stop(
    pair: Pair, tmp_path: Path, scan: Any, write: Callable[..., Path]
) -> None:
    root = pair("a", "b")
    write(root / "images" / "b.nii.gz", np.roll(scan.label, 1, axis=1), scan.affine)
    with pytest.raises(DataError, match="images that look like label maps: b"):
        prepared(config(root), tmp_path / "work")
    used = prepared(config(root, label_like_images="use"), tmp_path / "work")
    assert [case.name for case in used.cases] == ["a", "b"]
    assert any("looks like a label map" in text for text in used.cases[1].checked.warnings)


@pytest.mark.usefixtures("serial")
@pytest.mark.parametrize("kind", [np.float32, np.int16])
def test_swapped_folders_are_called_so(
    pair: Pair, tmp_path: Path, scan: Any, write: Callable[..., Path], kind: type
) -> None:
    root, noise = pair("a", "b"), np.random.default_rng(0)
    for folder in ("images", "labels"):
        shutil.rmtree(root / folder)
    for number, name in enumerate(("a", "b")):
        scan_like = noise.normal(9000, 3000, scan.label.shape).astype(kind)
        write(root / "images" / f"{name}.nii.gz", np.roll(scan.label, number, 1), scan.affine)
        write(root / "labels" / f"{name}.nii.gz", scan_like, scan.affine)
    with pytest.raises(DataError, match="images and labels look swapped"):
        prepared(config(root), tmp_path / "work")


# What goes on, and stands in the manifest


def relabelled(
    root: Path, change: Callable[[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]
) -> None:
    """Change voxels and affine of the label of case a."""
    path = root / "labels" / "a.nii.gz"
    label = nib.load(path)
    voxels, affine = change(np.asanyarray(label.dataobj), label.affine)
    nib.save(nib.Nifti1Image(voxels, affine, dtype=voxels.dtype), path)


def nudged(affine: NDArray[Any], voxels: float) -> NDArray[Any]:
    """The smallest voxel is 0.9 mm long."""
    moved = affine.copy()
    moved[0, 3] += 0.9 * voxels
    return moved


@pytest.mark.usefixtures("serial")
@pytest.mark.parametrize(
    ("change", "warning"),
    [
        pytest.param(
            lambda label, affine: (label.astype(np.int64), affine),
            None,
            marks=pytest.mark.fault(46, "OK"),
            id="int64",
        ),
        pytest.param(
            lambda label, affine: ((label * 1.0001).astype(np.float32), affine),
            "label: values within 0.001 of whole numbers were rounded",
            marks=pytest.mark.fault(47, "W"),
            id="rounding",
        ),
        pytest.param(
            lambda label, affine: (label, nudged(affine, 0.006)),
            "label: differs by 0.006 voxels from the grid of its image, which is used",
            marks=pytest.mark.fault(51, "OK"),
            id="hardly beside",
        ),
        pytest.param(
            lambda label, affine: (
                label[::-1].copy(),
                affine @ np.array([[-1, 0, 0, 9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
            ),
            None,
            marks=pytest.mark.fault(53, "OK"),
            id="flipped",
        ),
    ],
)
def test_labels_that_need_no_more_than_a_word(
    pair: Pair, tmp_path: Path, scan: Any, change: Any, warning: str | None
) -> None:
    root, work = pair("a"), tmp_path / "work"
    relabelled(root, change)
    (case,) = prepared(config(root), work).cases
    expected = np.searchsorted([0, 2, 5], scan.label).transpose(2, 0, 1)
    np.testing.assert_array_equal(case.label, expected)
    (row,) = lines(work / "cache" / "trial" / "manifest.jsonl")
    assert row["warnings"] == [] if warning is None else [warning]


@pytest.mark.usefixtures("serial")
@pytest.mark.fault(50, "W")
def test_an_empty_label_is_noticed_and_counted(pair: Pair, tmp_path: Path) -> None:
    root, work = pair("a", "b"), tmp_path / "work"
    relabelled(root, lambda label, affine: (np.zeros_like(label), affine))
    prepared(config(root), work)
    empty, other = lines(work / "cache" / "trial" / "manifest.jsonl")
    assert empty["warnings"] == ["the label is empty"]
    assert empty["labelled_voxels"] == 0
    assert other["labelled_voxels"] > 0
    assert "the label is empty" not in other["warnings"]


@pytest.mark.usefixtures("serial")
@pytest.mark.fault(38, "W")
def test_a_slice_or_a_volume_without_variance_is_noticed(
    pair: Pair, tmp_path: Path, scan: Any
) -> None:
    root, work = pair("a", "b", "c"), tmp_path / "work"
    full = (np.arange(scan.voxels.size) % 251).reshape(scan.voxels.shape).astype(np.uint8)
    one_flat = full.copy()
    one_flat[:, :, 2] = 90
    for name, voxels in (("a", np.full_like(full, 7)), ("b", one_flat), ("c", full)):
        image = nib.Nifti1Image(voxels, scan.affine)
        nib.save(image, root / "images" / f"{name}.nii.gz")
    prepared(config(root), work)
    rows = lines(work / "cache" / "trial" / "manifest.jsonl")
    assert [row["warnings"] for row in rows] == [
        ["every voxel has the value 7"],
        ["some slices between others are constant"],
        [],
    ]


@pytest.mark.usefixtures("serial")
@pytest.mark.fault(54, "S")
def test_volumes_of_one_file_are_cases_of_one_patient(
    pair: Pair, tmp_path: Path, scan: Any
) -> None:
    root, work = pair("a", "b"), tmp_path / "work"
    for folder, voxels in (("images", scan.voxels), ("labels", scan.label)):
        both = np.stack([voxels, np.roll(voxels, 1, axis=0)], axis=-1)
        nib.save(nib.Nifti1Image(both, scan.affine), root / folder / "a.nii.gz")
    cases = prepared(config(root), work).cases
    assert [(case.name, case.patient) for case in cases] == [
        ("a_v001", "a"),
        ("a_v002", "a"),
        ("b", "b"),
    ]
    np.testing.assert_array_equal(cases[1].label, np.roll(cases[0].label, 1, axis=1))
    rows = lines(work / "cache" / "trial" / "manifest.jsonl")
    assert rows[1]["images"] == [f"{root / 'images' / 'a.nii.gz'}, volume 2"]


@pytest.mark.usefixtures("serial")
def test_options_of_reading_reach_the_slices(pair: Pair, tmp_path: Path) -> None:
    root = pair("a", "b")
    put_nan(root / "images" / "b.nii.gz")
    refusing = config(root)
    filling = refusing.model_copy(update={"reading": ReadingSection(non_finite="zero")})
    assert [case.name for case in prepared(refusing, tmp_path / "work").cases] == ["a"]
    cases = prepared(filling, tmp_path / "work").cases
    assert [case.name for case in cases] == ["a", "b"]
    assert "1 NaN or infinite voxels were replaced by 0" in cases[1].checked.warnings


# Bad scans


@pytest.mark.usefixtures("serial")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            lambda label, affine: (np.where(label == 2, 2.5, label), affine),
            "whole numbers",
            marks=pytest.mark.fault(48, "Q"),
            id="fractions",
        ),
        pytest.param(
            lambda label, affine: (label, nudged(affine, 0.012)),
            "corners 0.012 voxels apart",
            marks=pytest.mark.fault(52, "Q"),
            id="beside",
        ),
    ],
)
def test_a_bad_label_is_set_aside(pair: Pair, tmp_path: Path, change: Any, reason: str) -> None:
    root, work = pair("a", "b"), tmp_path / "work"
    relabelled(root, change)
    assert [case.name for case in prepared(config(root), work).cases] == ["b"]
    (row,) = lines(work / "cache" / "trial" / "quarantine.jsonl")
    assert row["name"] == "a"
    assert row["where"] == str(root / "labels" / "a.nii.gz")
    assert reason in row["reason"]
    assert row["remedy"]


@pytest.mark.usefixtures("serial")
@pytest.mark.fault(66, "Q")
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
    with pytest.raises(DataError, match="2 images and no label map"):
        prepared(experiment, tmp_path / "work")


@pytest.mark.usefixtures("serial")
@pytest.mark.fault(49, "E")
def test_unnamed_label_values_stop_and_name_the_cases(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set: a, b") as caught:
        prepared(config(pair("b", "a"), labels={"first": 2}), tmp_path / "work")
    assert caught.value.found == "5 as well"
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
    with pytest.raises(OutputError, match="a writable path"):
        list(prepare(read_catalogue(experiment.data), experiment, tmp_path / "work", 1))


def test_chosen_cases_keep_the_order_of_the_names(tmp_path: Path) -> None:
    cases = tuple(CachedCase(name, name, name, tmp_path) for name in "abc")
    chosen = Prepared(cases, ()).chosen(["c", "gone", "a"])
    assert [case.name for case in chosen] == ["c", "a"]
