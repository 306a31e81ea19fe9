"""``slicewise plan``: what it finds in small sets, what it writes, and that this trains."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from slicewise.config import Config, load_config

Slicewise = Callable[..., Any]
# Small enough for its steps to be measured in a second.
SMALL = ("--set", "network.features=[4, 8]", "--workers", "2")


def write_case(
    folder: Path,
    name: str,
    seed: int,
    *,
    shape: tuple[int, int, int] = (26, 22, 9),
    spacing_mm: tuple[float, float, float] = (1.5, 1.4, 8.0),
    values: tuple[int, int] = (7, 200),
    beside: bool = False,
) -> None:
    """Two bright blocks, one in the other's neighbourhood, with labels of two values.

    The label map lies in a folder of its own or ``beside`` its image.
    """
    random = np.random.default_rng(seed)
    label = np.zeros(shape, dtype=np.uint8)
    across, along, up = (size // 4 for size in shape)
    label[across : 2 * across, along : 3 * along, up : 2 * up + 1] = values[0]
    label[2 * across : 3 * across, along : 2 * along, up : 3 * up] = values[1]
    voxels = random.normal(100, 10, shape) + 90 * (label > 0) + 40 * (label == values[1])
    affine = np.diag([*spacing_mm, 1.0])
    places = (name, f"{name}_gt") if beside else (f"images/{name}", f"labels/{name}")
    for place, array in zip(places, (voxels.astype(np.int16), label), strict=True):
        path = folder / f"{place}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, affine), path)


def plan(slicewise: Slicewise, root: Path, folder: Path, *options: str | Path) -> tuple[Any, Path]:
    out = folder / "plan.yaml"
    done = slicewise("plan", root, "--out", out, "--work", folder / "work", *options)
    return done, out


@pytest.fixture(scope="module")
def cine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thick slices, two labelled frames of each of three patients, told apart by name only.

    Each patient has a folder, in which the whole cine lies as well, without labels.
    """
    folder = tmp_path_factory.mktemp("cine")
    for patient in range(3):
        name = f"patient{patient:03d}"
        frames = [f"{name}/{name}_frame{frame:02d}" for frame in (1, 9 + patient)]
        for number, frame in enumerate(frames):
            write_case(folder, frame, 20 * patient + number, beside=True)
        volumes = [nib.load(folder / f"{frame}.nii.gz") for frame in frames]
        cine = nib.Nifti1Image(np.stack([v.dataobj for v in volumes], -1), volumes[0].affine)
        nib.save(cine, folder / name / f"{name}_4d.nii.gz")
    return folder


@pytest.fixture(scope="module")
def planned(
    slicewise: Slicewise, cine: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("planned")
    done, out = plan(slicewise, cine, folder, *SMALL, "--budget", "2")
    assert done.returncode == 0, done.stderr
    return done, out


@pytest.fixture(scope="module")
def config(planned: tuple[Any, Path]) -> Config:
    return load_config(planned[1])


def test_thick_slices_of_few_patients(config: Config) -> None:
    assert config.preprocessing.plane == "thickest"
    assert config.preprocessing.spacing_mm is None
    assert config.network.context_slices == 0
    assert config.network.window == (32, 24)
    assert config.data.labels == {"label_7": 7, "label_200": 200}
    # Two frames of a patient never part.
    assert config.data.patient_pattern == r"^patient(\d+)"
    assert config.data.fold_count == 3
    assert config.data.folds == "stratified"


def test_given_values_stand_in_the_file(config: Config, planned: tuple[Any, Path]) -> None:
    assert config.network.features == (4, 8)
    assert config.training.budget_minutes == 2
    lines = planned[1].read_text().splitlines()
    assert lines[lines.index("  features: [4, 8]") - 1] == "  # set by the user"
    assert "--budget 2 --set 'network.features=[4, 8]'" in lines[0]


def test_what_is_shown(planned: tuple[Any, Path]) -> None:
    done = planned[0]
    assert "6 with labels, of 3 patients, up to 2 scans each" in done.stdout
    assert "5.71 times as thick as wide" in done.stdout
    assert "passes over the data" in done.stdout
    assert "only 3 patients" in done.stderr
    out = planned[1]
    assert f"Next: slicewise train {out} --work {out.parent / 'work'}" in done.stderr.replace(
        "\n", ""
    )


def test_the_data_set_is_named_once(config: Config, planned: tuple[Any, Path], cine: Path) -> None:
    assert config.data.root == cine
    assert planned[1].read_text().count(str(cine)) == 1
    # Nothing is left of the slices that were measured on.
    left = [path for path in (planned[1].parent / "work" / "plan").rglob("*") if path.is_dir()]
    assert left == []


@pytest.mark.slow
def test_a_plan_trains_as_it_stands(
    slicewise: Slicewise, planned: tuple[Any, Path], tmp_path: Path
) -> None:
    done = slicewise(
        "train", planned[1], "--set", "training.steps=3",
        "--out", tmp_path / "model", "--work", tmp_path / "work",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "label_200" in done.stdout


def test_a_file_is_not_replaced_unasked(
    slicewise: Slicewise, cine: Path, planned: tuple[Any, Path]
) -> None:
    before = planned[1].read_text()
    done, _ = plan(slicewise, cine, planned[1].parent)
    assert done.returncode == 1
    assert "--overwrite" in done.stderr
    assert planned[1].read_text() == before


def test_isotropic_scans_with_several_contrasts(slicewise: Slicewise, tmp_path: Path) -> None:
    lines = ["case,patient,contrast,image,label"]
    for number in range(3):
        for contrast in ("FLAIR", "T1"):
            name = f"{number}{contrast}"
            write_case(tmp_path, name, ord(contrast[0]) + number, shape=(24, 20, 18),
                       spacing_mm=(1.0, 1.0, 1.0))  # fmt: skip
            files = f"images/{name}.nii.gz,labels/{number}FLAIR.nii.gz"
            lines.append(f"case{number},somebody {number},{contrast},{files}")
    (tmp_path / "dataset.csv").write_text("\n".join(lines) + "\n")
    options = (*SMALL, "--set", "data.labels={core: 7, rim: 200}", "--name", "mine")
    done, out = plan(slicewise, tmp_path / "dataset.csv", tmp_path / "out", *options)
    assert done.returncode == 0, done.stderr
    config = load_config(out)
    assert config.name == "mine"
    assert config.data.contrasts == ("FLAIR", "T1")
    assert config.data.labels == {"core": 7, "rim": 200}
    assert config.preprocessing.plane == "all"
    assert config.network.context_slices == 1
    everything = done.stdout + done.stderr + out.read_text()
    assert "somebody" not in everything


def test_a_bad_label_is_set_aside(slicewise: Slicewise, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number in range(3):
        write_case(root, f"scan{number}", number)
    label = nib.load(root / "labels" / "scan1.nii.gz")
    half = nib.Nifti1Image(label.get_fdata() / 16, label.affine)
    nib.save(half, root / "labels" / "scan1.nii.gz")
    done, out = plan(slicewise, root, tmp_path, *SMALL)
    assert done.returncode == 8, done.stderr
    assert "set aside: scan1: expected whole numbers as labels" in done.stderr
    assert load_config(out).data.fold_count == 2


@pytest.mark.fault(104, "W")
def test_duplicates_are_left_out_unless_they_are_to_be_refused(
    slicewise: Slicewise, tmp_path: Path
) -> None:
    root = tmp_path / "set"
    for name, seed in {"one": 0, "other": 1, "third": 1}.items():
        write_case(root, name, seed)
    done, out = plan(slicewise, root, tmp_path, *SMALL)
    assert done.returncode == 0, done.stderr
    assert "left out by data.duplicates: third (copy of other)" in done.stderr
    assert load_config(out).data.duplicates == "keep_first"
    assert "1 scan in the data set under another name as well" in out.read_text()
    done, _ = plan(slicewise, root, tmp_path / "2", *SMALL, "--set", "data.duplicates=refuse")
    assert done.returncode == 1
    assert "data.duplicates=keep_first" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--budget", "3", "--set", "training.steps=4"), 2, "one budget"),
        (("--set", "network.widow=[3, 3]"), 2, "did you mean 'window'?"),
        (("--set", "training.batch_size=many"), 2, "--set training.batch_size=many"),
        (("--budget", "0"), 2, "--budget"),
        (("--set", "preprocessing.spacing_mm=1.0"), 2, "--set preprocessing.spacing_mm=1.0"),
        (("--set", "preprocessing.spacing_mm=[1]"), 2, "2 numbers with plane thickest, not 1"),
        (("--set", "name=2024-13-45/"), 2, "--set name=2024-13-45/"),
        (("--name", "two words"), 2, "name=two words"),
        (("--set", "data.root=elsewhere"), 2, "named once"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(
    slicewise: Slicewise, tmp_path: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "empty").mkdir()
    done, out = plan(slicewise, tmp_path / "empty", tmp_path, *options)
    assert done.returncode == code
    assert said in done.stderr
    assert not out.exists()


def test_a_set_without_labels(slicewise: Slicewise, tmp_path: Path) -> None:
    write_case(tmp_path / "set", "scan0", 0)
    done, out = plan(slicewise, tmp_path / "set" / "images", tmp_path)
    assert done.returncode == 1
    assert "1 image and no label map" in done.stderr
    assert not out.exists()


def test_labels_of_one_of_several_contrasts(slicewise: Slicewise, tmp_path: Path) -> None:
    for name in ("a_flair", "a_t1", "a_seg"):
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / f"{name}.nii.gz").touch()
    done, _ = plan(slicewise, tmp_path / "set", tmp_path)
    assert done.returncode == 1
    assert "2 images and no label map; a_seg: of which image?" in done.stderr
    assert "data.contrasts: [FLAIR, T1]" in done.stderr


def test_the_input_is_never_written_to(slicewise: Slicewise, cine: Path, tmp_path: Path) -> None:
    done = slicewise("plan", cine, "--out", cine / "plan.yaml", "--work", tmp_path)
    assert done.returncode == 2
    assert "outside of the input" in done.stderr


def test_the_check_names_likely_patients(slicewise: Slicewise, cine: Path, tmp_path: Path) -> None:
    findings = tmp_path / "findings.json"
    done = slicewise("check", cine, "--json", findings, "--work", tmp_path / "work")
    advice = "set data.patient_pattern='^patient(\\d+)'"
    assert advice in done.stderr
    assert any(advice in text for text in json.loads(findings.read_text())["summary"]["notes"])
    option = "data.patient_pattern=patient(\\d+)"
    told = slicewise("check", cine, "--set", option, "--work", tmp_path / "work")
    assert "seem to share a patient" not in told.stderr


@pytest.mark.data
@pytest.mark.slow
def test_hippocampus(slicewise: Slicewise, test_data: Path, tmp_path: Path) -> None:
    done, out = plan(slicewise, test_data / "Task04_Hippocampus", tmp_path, *SMALL)
    assert done.returncode == 0, done.stderr
    config = load_config(out)
    assert config.data.labels == {"Anterior": 1, "Posterior": 2}
    assert config.data.contrasts == ("MRI",)
    assert (config.data.patient_pattern, config.data.scans_per_patient) == (
        r"^hippocampus_(\d+)",
        2,
    )
    assert config.preprocessing.plane == "all"
    assert config.preprocessing.spacing_mm is None
    assert config.preprocessing.foreground == "all"
    assert config.network.window in ((32, 32), (40, 40))
    assert "of 170 patients" in done.stdout
    assert "90 of 90 pairs" in out.read_text().replace("\n  #", "")
