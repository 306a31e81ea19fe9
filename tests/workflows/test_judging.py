"""Masks are scored, compared and reported from Python: tables come back, nothing is printed."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
from tests.phantom_run import CASES, LABELS, write_run
from tests.recorded_progress import RecordedProgress

from slicewise.config import load_config
from slicewise.errors import SlicewiseError, UsageError
from slicewise.evaluation.confidence_table import write_confidences
from slicewise.evaluation.scores import read_scores
from slicewise.segmentation.confidence import StructureConfidence
from slicewise.segmentation.unlikeness import Unlikeness
from slicewise.tracking.run_folder import RunFolder
from slicewise.workflows.compare import CompareOptions, compare
from slicewise.workflows.evaluate import EvaluateOptions, evaluate
from slicewise.workflows.report import ReportOptions, report


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans and references; the run on them lies in ``run`` next to them."""
    folder = tmp_path_factory.mktemp("phantom")
    write_run(folder / "run", folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def run(data: Path) -> RunFolder:
    return RunFolder(data.parent / "run")


@pytest.fixture(autouse=True)
def _nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> object:
    yield
    assert capfd.readouterr() == ("", "")


def test_scores_of_masks(data: Path, run: RunFolder, tmp_path: Path) -> None:
    progress = RecordedProgress()
    found = evaluate(
        EvaluateOptions(
            run.masks, data / "labels", tmp_path / "scores.csv", load_config(run.config),
            tmp_path / "summary.json", workers=1,
        ),
        progress,
    )  # fmt: skip
    assert len(found.scores) == len(found.rows) == len(LABELS) * CASES
    known = read_scores(run.scores)
    assert found.scores["dice"].to_list() == pytest.approx([row.dice for row in known])
    assert found.scores["dice"].max() == 1.0
    assert found.totals.cases == CASES
    assert list(found.summary.index) == [item.structure for item in found.summaries]
    assert found.summary["dice"].mean() == pytest.approx(found.mean_dice.mean)
    assert not found.set_aside
    assert len(read_scores(tmp_path / "scores.csv")) == len(found.rows)
    assert (tmp_path / "summary.json").is_file()
    assert [task.description for task in progress.tasks] == ["scoring"]


def test_masks_without_references_are_set_aside(data: Path, run: RunFolder, tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    for name in ("case0", "case1"):
        (labels / f"{name}.nii.gz").symlink_to(data / "labels" / f"{name}.nii.gz")
    progress = RecordedProgress()
    found = evaluate(EvaluateOptions(run.masks, labels, workers=1), progress)
    assert {row.case for row in found.rows} == {"case0", "case1"}
    assert [item.name for item in found.set_aside] == [f"case{n}" for n in range(2, CASES)]
    assert any("case2: mask without reference" in text for text in progress.messages)


def test_a_table_of_differences(run: RunFolder, tmp_path: Path) -> None:
    found = compare(CompareOptions(run.path, run.scores, out=tmp_path / "out", work=tmp_path))
    assert list(found.table.index) == list(LABELS)
    assert found.table["difference"].eq(0).all()
    assert len(found.cases) == len(LABELS) * CASES
    assert all("both runs are equal" in text for text in found.verdicts)
    assert any("nothing is known about its training" in text for text in found.caveats)
    assert found.csv == tmp_path / "out" / "differences.csv"
    assert found.csv.is_file()
    assert found.figure.is_file()


def test_a_metric_that_does_not_exist(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`metric`"):
        compare(CompareOptions(run.path, run.path, "dise", work=tmp_path))


@pytest.mark.slow
def test_the_report_of_a_run(data: Path, run: RunFolder, tmp_path: Path) -> None:
    progress = RecordedProgress()
    options = ReportOptions(run.path, tmp_path / "out", data, against=run.path, work=tmp_path)
    found = report(options, progress)
    assert found.page.read_text(encoding="utf-8").count("data:image/webp") >= 6
    assert found.slides.read_bytes().startswith(b"%PDF")
    assert len(found.figures) > 8
    assert len(found.scores) == len(LABELS) * CASES
    assert found.volumes_ml.empty
    assert found.content.cases
    assert found.content.viewer is not None
    assert found.run_id == ""
    assert "drawing cases" in [task.description for task in progress.tasks]


def test_the_report_of_masks(data: Path, run: RunFolder, tmp_path: Path) -> None:
    options = ReportOptions(run.masks, tmp_path / "out", data, viewer=False, work=tmp_path)
    found = report(options)
    assert found.volumes_ml.shape == (CASES, len(LABELS))
    assert found.scores.empty
    assert found.content.viewer is None
    assert found.page.is_file()


@pytest.mark.fault(134, "W")
def test_masks_of_scans_unlike_the_training_are_named(run: RunFolder, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    shutil.copytree(run.masks, masks)
    write_confidences(
        {
            f"case{n}": [StructureConfidence("core", 2, math.nan, 0.9, 0.9, 0.02, 0.1)]
            for n in range(CASES)
        },
        {f"case{n}": Unlikeness(3.0, ("echo time 98 ms",) * (n == 2)) for n in range(CASES)},
        masks / "confidence.csv",
    )
    found = report(ReportOptions(masks, tmp_path / "out", viewer=False, work=tmp_path))
    assert [(item.case, item.kind) for item in found.content.failures] == [("case2", "unlike scan")]
    assert f"1 of {CASES} scans is unlike those that the model was trained on" in (
        found.page.read_text()
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"data": Path("nowhere")}, "`data` nowhere"),
        ({"attach": True}, "the folder of a run"),
        ({"baseline": "run"}, "give any other run with `against`"),
    ],
)
def test_errors_name_options(
    run: RunFolder, tmp_path: Path, wrong: dict[str, object], said: str
) -> None:
    wrong = {key: run.path if value == "run" else value for key, value in wrong.items()}
    with pytest.raises(SlicewiseError, match=said):
        report(ReportOptions(run.path, tmp_path / "out", work=tmp_path, **wrong))  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
