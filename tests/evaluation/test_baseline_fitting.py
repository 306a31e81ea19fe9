"""Fitted to phantoms on disk, in other orientations and spacings, and asked about unseen ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from slicewise.config import Config, parse_config
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.catalogue import Case
from slicewise.dataset.preprocessing import Preprocessing, to_slices
from slicewise.evaluation.baseline import segmenter
from slicewise.evaluation.baseline.learning import learn
from slicewise.evaluation.baseline.prior import ALIGNMENTS, load_prior
from slicewise.evaluation.baseline.search import searched_cases
from slicewise.evaluation.baseline.segmenter import Baseline
from slicewise.imaging.nifti.writing import write_mask, write_volume
from slicewise.imaging.volume import Volume
from slicewise.progress import SILENT

CONFIG = """
name: phantom
data:
  contrasts: [{contrasts}]
  labels: {{core: 3, rim: 7, nothing: 5}}
preprocessing: {{plane: axial, foreground: all}}
training: {{steps: 1}}
"""


@dataclass(frozen=True)
class Phantom:
    """A scan with its label in RAS order, and how it is stored."""

    contrasts: tuple[Volume, ...]
    label: Volume


def phantom(seed: int, orientation: str = "RAS", scale: float = 1.0, contrasts: int = 1) -> Phantom:
    """A bright core right of the middle with a dim rim in front of it, in a noisy box.

    Of several contrasts only the last one shows them.
    """
    random = np.random.default_rng(seed)
    x, y, z = (round(size / scale) for size in (24, 20, 8))
    places = np.stack(np.meshgrid(*map(np.arange, (x, y, z)), indexing="ij"), axis=-1)
    share = (places + 0.5) / (x, y, z)  # (X, Y, Z, 3)
    wobble = random.uniform(-0.03, 0.03, 3)
    label = np.zeros((x, y, z), dtype=np.uint8)
    inside = (np.abs(share - (0.65, 0.4, 0.5) - wobble) < (0.16, 0.17, 0.3)).all(axis=-1)
    before = (np.abs(share - (0.65, 0.7, 0.5) - wobble) < (0.16, 0.1, 0.3)).all(axis=-1)
    label[inside], label[before] = 3, 7
    affine = np.diag([1.5 * scale, 1.2 * scale, 4.0 * scale, 1.0])
    affine[:3, 3] = random.uniform(-40, 40, 3)
    base = 100 + 80.0 * (label == 3) + 35.0 * (label == 7)
    volumes = tuple(
        Volume(
            (base * (number == contrasts - 1) + random.normal(0, 6, label.shape)).astype(
                np.float32
            ),
            affine,
        ).reoriented(orientation)
        for number in range(contrasts)
    )
    return Phantom(volumes, Volume(label, affine).reoriented(orientation))


def stored(
    folder: Path, name: str, one: Phantom, config: Config, patient: str = ""
) -> tuple[CachedCase, Case]:
    """The phantom on disk and, as the cache holds it, in slices."""
    folder.mkdir(exist_ok=True)
    images = tuple(folder / f"{name}-{number}.nii.gz" for number in range(len(one.contrasts)))
    for volume, path in zip(one.contrasts, images, strict=True):
        write_volume(volume, path)
    label = folder / f"{name}-label.nii.gz"
    write_mask(one.label, one.contrasts[0], label)
    loaded, axis = Preprocessing(config.preprocessing, config.data).load(images, label)
    cached = folder / name
    cached.mkdir()
    image = to_slices(loaded["image"].as_tensor(), axis).numpy()
    np.save(cached / "image.npy", image.astype(np.float16))
    classes = to_slices(loaded["label"].as_tensor(), axis)[:, 0].numpy().astype(np.uint8)
    np.save(cached / "label.npy", classes)
    case = Case(name, patient or name, images, label)
    return CachedCase(name, case.patient, name, cached), case


def config_of(contrasts: Sequence[str] = ("T1",), spacing: str = "null") -> Config:
    text = CONFIG.format(contrasts=", ".join(contrasts))
    return parse_config(text, "phantom", [f"preprocessing.spacing_mm={spacing}"])


def training(folder: Path, config: Config, count: int = 8) -> list[tuple[CachedCase, Case]]:
    orientations = ("RAS", "LPS", "LAS", "RPI")
    return [
        stored(
            folder,
            f"case{seed}",
            phantom(
                seed, orientations[seed % 4], 1 + 0.05 * (seed % 3), len(config.data.contrasts)
            ),
            config,
            patient=f"p{seed // 2}",
        )
        for seed in range(count)
    ]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    folder = tmp_path_factory.mktemp("fitted")
    config = config_of()
    return Baseline.fitted(training(folder / "cases", config), config, folder, workers=0)


def dice(mask: NDArray[Any], label: NDArray[Any], value: int) -> float:
    ours, theirs = mask == value, label == value
    return float(2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()))


@pytest.mark.parametrize(
    ("orientation", "scale"), [("RAS", 1.0), ("PIR", 1.0), ("LIP", 1.3), ("SAL", 0.7)]
)
def test_unseen_scans_of_any_orientation_and_spacing(
    fitted: Baseline, orientation: str, scale: float
) -> None:
    unseen = phantom(77, orientation, scale)
    prediction = fitted.predict(*unseen.contrasts)
    assert prediction.probabilities == ()
    assert prediction.voxels.dtype == np.uint8
    np.testing.assert_array_equal(prediction.affine, unseen.label.affine)
    assert dice(prediction.voxels, unseen.label.voxels, 3) > 0.9
    assert dice(prediction.voxels, unseen.label.voxels, 7) > 0.8


def test_a_structure_that_was_never_seen_is_predicted_nowhere(fitted: Baseline) -> None:
    assert fitted.recipes[2] is None
    assert "never in the training cases" in fitted.descriptions()["nothing"]
    mask = fitted.predict(*phantom(78).contrasts).voxels
    assert set(np.unique(mask)) == {0, 3, 7}


def test_what_training_promises_is_what_unseen_scans_get(fitted: Baseline) -> None:
    """Judged by a prior of its own label, a case would bias the training Dice optimistically."""
    unseen = [phantom(seed) for seed in range(100, 106)]
    for recipe, value in zip(fitted.recipes[:2], (3, 7), strict=True):
        assert recipe is not None
        found = [
            dice(
                fitted.predict(*one.contrasts).voxels,
                one.label.voxels,
                value,
            )
            for one in unseen
        ]
        assert recipe.training_dice == pytest.approx(np.mean(found), abs=0.05)


def test_no_patient_is_judged_by_a_prior_of_its_own(tmp_path: Path) -> None:
    """The core of one patient lies where nobody else has it."""
    config = config_of()
    cases = training(tmp_path / "cases", config, 6)
    for cached, _ in cases[2:4]:
        label = np.load(cached.folder / "label.npy")
        label[:] = 0
        label[:, 1, 2] = 1
        np.save(cached.folder / "label.npy", label)
    learned = learn(cases, config, tmp_path, 0, SILENT)
    for item in learned.cases:
        prior, scan = load_prior(learned.held_out[item.case.name]), item.case.scan()
        frequency = prior.on(scan, ALIGNMENTS[0])[0][1, 2].max()
        assert (frequency == 0) == (item.case.patient == "p1"), item.case.name


def test_order_of_the_cases_changes_nothing(tmp_path: Path) -> None:
    config = config_of()
    cases = training(tmp_path / "cases", config, 4)
    one = Baseline.fitted(cases, config, tmp_path, workers=0)
    two = Baseline.fitted(cases[::-1], config, tmp_path, workers=0)
    assert one.recipes == two.recipes
    for ours, theirs in zip(one.prior.means, two.prior.means, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_the_workers_share_lies_where_they_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[Path] = []

    def learn_there(*arguments: Any) -> Any:
        shared.append(arguments[2])
        return learn(*arguments)

    monkeypatch.setattr(segmenter, "learn", learn_there)
    config, work = config_of(), tmp_path / "work"
    Baseline.fitted(training(tmp_path / "cases", config, 1), config, work, workers=0)
    assert [folder.parent for folder in shared] == [work]
    assert not list(work.iterdir())


def test_one_training_case_is_enough(tmp_path: Path) -> None:
    config = config_of()
    cases = training(tmp_path / "cases", config, 1)
    baseline = Baseline.fitted(cases, config, tmp_path, workers=0)
    assert baseline.is_of_one_patient
    unseen = phantom(77)
    mask = baseline.predict(*unseen.contrasts).voxels
    assert dice(mask, unseen.label.voxels, 3) > 0.7


def test_empty_labels_everywhere(tmp_path: Path) -> None:
    config = config_of()
    cases = training(tmp_path / "cases", config, 2)
    for cached, _ in cases:
        np.save(cached.folder / "label.npy", np.zeros_like(np.load(cached.folder / "label.npy")))
    baseline = Baseline.fitted(cases, config, tmp_path, workers=0)
    assert baseline.recipes == (None, None, None)
    assert baseline.searched_cases == 0
    assert not baseline.predict(*phantom(77).contrasts).voxels.any()


def test_several_contrasts_and_another_spacing(tmp_path: Path) -> None:
    config = config_of(("T1", "FLAIR"), "[1.8, 1.1]")
    cases = training(tmp_path / "cases", config, 4)
    baseline = Baseline.fitted(cases, config, tmp_path, workers=0)
    unseen = phantom(79, "PIR", 1.1, contrasts=2)
    mask = baseline.predict(*unseen.contrasts)
    assert mask.shape == unseen.label.shape
    assert dice(mask.voxels, unseen.label.voxels, 3) > 0.85
    assert any(of in baseline.descriptions()["core"] for of in ("FLAIR", "all contrasts"))


def test_rare_structures_are_searched_for_where_they_are(tmp_path: Path) -> None:
    config = config_of()
    learned = learn(training(tmp_path / "cases", config, 4), config, tmp_path, 0, SILENT)
    cases = [learned.cases[number % 4] for number in range(300)]
    present = np.zeros((300, 2), dtype=bool)
    present[:, 0], present[[7, 191], 1] = True, True
    chosen = searched_cases(cases, present)
    assert 100 <= len(chosen) <= 102
    assert not searched_cases(cases, np.zeros_like(present))
