"""What predictions replace, and what not; whose masks lie in a folder."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from slicewise.config import Config, parse_config
from slicewise.errors import DataError, OutputError, UsageError
from slicewise.evaluation.confidence_table import read_confidences
from slicewise.imaging.mark import read_mark
from slicewise.imaging.nifti.writing import write_mask, write_volume
from slicewise.imaging.volume import Volume
from slicewise.progress import Task
from slicewise.segmentation.confidence import StructureConfidence
from slicewise.segmentation.prediction import UNWATCHED, Prediction, model_mark
from slicewise.workflows import predict as predicting
from slicewise.workflows.evaluate import EvaluateOptions, evaluate
from slicewise.workflows.models import ModelOptions
from slicewise.workflows.predict import PredictionResult, PredictOptions
from slicewise.workflows.report import ReportOptions, report

NAMES = ("S01", "S02", "S03")
Predict = Callable[..., PredictionResult]


class Killed(BaseException):
    """Ends a prediction at once."""


@dataclass
class Threshold:
    """A model that calls all voxels above a value its structure."""

    config: Config
    least: float
    dies_at: str = ""

    @property
    def made_by(self) -> str:
        return model_mark(self.config, repr(self.least))

    def predict(self, *contrasts: Volume, case: str = "", task: Task = UNWATCHED) -> Prediction:
        del task
        if case == self.dies_at:
            raise Killed
        scan = contrasts[0]
        mask = scan.with_voxels((scan.voxels > self.least).astype(np.uint8))
        sure = StructureConfidence(
            "core", 1.0, float("nan"), self.least, float("nan"), float("nan"), 0.1
        )
        return Prediction.of(mask, (), (sure,))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three scans with labels."""
    root, generator = tmp_path / "data", np.random.default_rng(0)
    for name in NAMES:
        scan = Volume(generator.random((4, 5, 6)).astype(np.float32), np.diag([1.0, 2, 3, 1]))
        write_volume(scan, root / "images" / f"{name}.nii.gz")
        label = scan.with_voxels((scan.voxels > 0.5).astype(np.uint8))
        write_mask(label, scan, root / "labels" / f"{name}.nii.gz")
    return root


@pytest.fixture
def predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Predict:
    """Predict with a threshold; it may be killed at a case."""

    def run(
        source: Path, out: Path, least: float = 0.5, dies_at: str = "", *, overwrite: bool = False
    ) -> PredictionResult:
        config = parse_config(
            "name: head\ndata: {labels: {core: 1}}\ntraining: {epochs: 1}", "head.yaml"
        )
        model = Threshold(config, least, dies_at)
        monkeypatch.setattr(predicting, "load_segmenter", lambda *_: model)
        options = ModelOptions("head", work=tmp_path / "work")
        return predicting.predict(PredictOptions(options, source, out, overwrite=overwrite))

    return run


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.fault(97, "E")
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("images", "labels"),
        ("images", "images"),
        ("images/S01.nii.gz", "labels/S01.nii.gz"),
        ("images/S01.nii.gz", "images/S01.nii.gz"),
        (".", "labels"),
        ("images", "labels/../labels"),
        ("images", "link"),
        ("images/S01.nii.gz", "labels"),
        ("list.csv", "labels"),
    ],
)
def test_scans_and_labels_are_never_replaced(
    data: Path, predict: Predict, source: str, out: str, overwrite: bool
) -> None:
    (data / "link").symlink_to(data / "labels")
    (data / "list.csv").write_text("image,case\nimages/S01.nii.gz,S01\n")
    before = content(data)
    with pytest.raises((UsageError, OutputError)) as caught:
        predict(data / source, data / out, overwrite=overwrite)
    assert "`out`" in caught.value.where
    assert content(data) == before


@pytest.mark.fault(97, "E")
def test_a_mask_that_was_corrected_by_hand_stays(
    data: Path, predict: Predict, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    predict(data / "images", out)
    predict(data / "images", out)
    shutil.copyfile(data / "labels" / "S02.nii.gz", out / "S01.nii.gz")
    before = content(out)
    with pytest.raises(OutputError, match=r"found: +S01\.nii\.gz"):
        predict(data / "images", out)
    assert content(out) == before
    predict(data / "images", out, overwrite=True)
    assert content(out)["S01.nii.gz"] != before["S01.nii.gz"]


@pytest.mark.fault(97, "E")
def test_masks_of_other_scans_with_the_same_names_stay(
    data: Path, predict: Predict, tmp_path: Path
) -> None:
    shutil.copytree(data / "images", tmp_path / "second" / "images")
    predict(data / "images", tmp_path / "masks")
    with pytest.raises(OutputError, match="of other scans with the same names"):
        predict(tmp_path / "second" / "images", tmp_path / "masks")


@pytest.mark.fault(103, "E")
def test_masks_of_two_models_never_lie_in_one_folder_unnoticed(
    data: Path, predict: Predict, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    predict(data / "images", out, 0.5)
    with pytest.raises(OutputError, match="of head "):
        predict(data / "images", out, 0.7)
    with pytest.raises(Killed):
        predict(data / "images", out, 0.7, "S02", overwrite=True)
    # The masks of the first model are gone, and so is its table.
    assert set(content(out)) == {
        *(".slicewise.jsonl", ".slicewise.lock"),
        *("S01.nii.gz", "labels.ctbl", "confidence.csv"),
    }
    confidences, _ = read_confidences(out / "confidence.csv")
    assert {name: found[0].estimated_dice for name, found in confidences.items()} == {"S01": 0.7}
    predict(data / "images", out, 0.7)
    assert set(read_confidences(out / "confidence.csv")[0]) == set(NAMES)


@pytest.mark.fault(103, "E")
def test_a_mixture_is_refused_with_the_names_of_its_models(
    data: Path, predict: Predict, tmp_path: Path
) -> None:
    for least in (0.5, 0.7):
        predict(data / "images", tmp_path / str(least), least)
    out = tmp_path / "0.5"
    shutil.copyfile(tmp_path / "0.7" / "S03.nii.gz", out / "S03.nii.gz")
    mark = (out / ".slicewise.jsonl").read_text()
    other = (tmp_path / "0.7" / ".slicewise.jsonl").read_text()
    (out / ".slicewise.jsonl").write_text(mark + other)
    makers = {records[-1].made_by for records in read_mark(out).values()}
    for act in (
        lambda: evaluate(EvaluateOptions(out, data / "labels")),
        lambda: report(ReportOptions(out, work=tmp_path / "work")),
    ):
        with pytest.raises(DataError, match=r"head \w+ made S01\.nii\.gz, S02\.nii\.gz; head") as e:
            act()
        assert all(maker in e.value.found for maker in makers if maker)


def test_confidences_of_masks_that_stay_stay(data: Path, predict: Predict, tmp_path: Path) -> None:
    out = tmp_path / "masks"
    for name in NAMES:
        predict(data / "images" / f"{name}.nii.gz", out)
    assert set(read_confidences(out / "confidence.csv")[0]) == set(NAMES)
    (out / "S01.nii.gz").unlink()
    predict(data / "images" / "S02.nii.gz", out)
    assert set(read_confidences(out / "confidence.csv")[0]) == {"S02", "S03"}


@pytest.mark.fault(69, "OK")
def test_the_folder_of_scans_stays_as_it_is(data: Path, predict: Predict, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in [data, *data.rglob("*")]}
    predict(data, tmp_path / "masks")
    evaluate(EvaluateOptions(tmp_path / "masks", data / "labels", tmp_path / "scores.csv"))
    assert {path: path.stat().st_mtime_ns for path in [data, *data.rglob("*")]} == before


@pytest.mark.fault(97, "E")
def test_scores_never_replace_masks_or_files_of_others(data: Path, tmp_path: Path) -> None:
    masks, labels = data / "labels", data / "labels"
    for out in (labels / "S01.nii.gz", labels):
        with pytest.raises((UsageError, OutputError)):
            evaluate(EvaluateOptions(masks, labels, out, overwrite=True))
    (tmp_path / "notes.csv").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.csv"):
        evaluate(EvaluateOptions(masks, labels, tmp_path / "notes.csv"))
    assert (tmp_path / "notes.csv").read_text() == "mine"


@pytest.mark.fault(98, "E")
def test_a_name_that_is_too_long_for_its_mask_sets_one_scan_aside(
    data: Path, predict: Predict, tmp_path: Path
) -> None:
    long = "x" * 251
    shutil.copyfile(data / "images" / "S01.nii.gz", tmp_path / "a.nii.gz")
    with gzip.open(tmp_path / "a.nii.gz") as scan:
        (data / "images" / f"{long}.nii").write_bytes(scan.read())
    done = predict(data / "images", tmp_path / "masks")
    assert set(done.masks) == set(NAMES)
    assert [item.name for item in done.set_aside] == [long]
    assert "258 bytes" in done.set_aside[0].reason
