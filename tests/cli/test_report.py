"""``slicewise report``: from a run, a folder of masks or the ruins of either to one page."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from slicewise.evaluation import results
from slicewise.evaluation.results import read_results
from slicewise.imaging.masks import find_masks
from slicewise.imaging.own_files import read_checksums, write_checksums
from slicewise.imaging.scan import read_scan
from slicewise.quantities import millilitres
from slicewise.reporting.report import case_choice
from slicewise.tracking import open_store
from slicewise.workflows import report_cases

pytestmark = pytest.mark.slow

Slicewise = Callable[..., Any]


@pytest.fixture(scope="module")
def page(slicewise: Slicewise, model: Path, work: Path, tmp_path_factory: Any) -> str:
    """The report of the small training beside itself as another run."""
    out = tmp_path_factory.mktemp("report") / "out"
    done = slicewise("report", model, "--work", work, "--out", out, "--against", model)
    assert done.returncode == 0, done.stderr
    assert "page: " in done.stderr
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF")
    assert len(list((out / "figures").glob("*.png"))) > 8
    return (out / "report.html").read_text()


@pytest.fixture
def run(model: Path, tmp_path: Path) -> Path:
    """A copy of the run without its checkpoints, to be changed."""
    ignored = shutil.ignore_patterns("*.pt", "report", ".lock")
    return Path(shutil.copytree(model, tmp_path / "run", ignore=ignored))


def write_results(folder: Path, *content: Any) -> None:
    """Scores and facts of another run, as a training lists their checksums."""
    results.write_results(folder, *content)
    write_checksums(folder, read_checksums(folder))


def text_of(folder: Path) -> str:
    return (folder / "report.html").read_text()


def test_the_page_of_a_run(page: str) -> None:
    assert "Mean Dice" in page
    assert "Is it better than the other run?" in page
    assert page.count("data:image/webp") >= 6
    assert "data-part" in page  # the viewer
    assert "Held out: fold 0" in page


def test_neither_paths_nor_patients_are_told(page: str, scans: Path, work: Path) -> None:
    for text in (str(scans), str(work), str(Path.home()), str(scans.parent)):
        assert text not in page


def test_out_stands_in_the_run_unless_it_is_named(
    slicewise: Slicewise, run: Path, work: Path
) -> None:
    assert slicewise("report", run, "--work", work).returncode == 0
    assert (run / "report" / "report.html").is_file()
    # Again, over the first.
    assert slicewise("report", run, "--work", work, "--no-viewer").returncode == 0
    assert 'id="viewer"' not in text_of(run / "report")
    assert {path.name for path in (run / "report").glob("[!.]*")} == {
        "report.html",
        "report.pdf",
        "figures",
    }


def test_without_its_data_set(slicewise: Slicewise, run: Path, tmp_path: Path) -> None:
    done = slicewise("report", run, "--work", tmp_path / "other")
    assert done.returncode == 0, done.stderr
    assert "where the data set lies is not remembered" in done.stderr
    page = text_of(run / "report")
    assert "Report again with --data DIR." in page
    assert "Mean Dice" in page
    assert "data:image/webp" not in page


def test_the_data_set_may_be_given(
    slicewise: Slicewise, run: Path, scans: Path, tmp_path: Path
) -> None:
    done = slicewise("report", run, "--work", tmp_path / "other", "--data", scans)
    assert done.returncode == 0, done.stderr
    assert "data:image/webp" in text_of(run / "report")


def test_some_references_are_gone(
    slicewise: Slicewise, run: Path, scans: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(scans, data)
    (fold,) = read_results(run)
    (data / "labels" / f"{fold.scores[0].case}.nii.gz").unlink()
    done = slicewise("report", run, "--work", tmp_path / "other", "--data", data)
    assert done.returncode == 0, done.stderr
    page = text_of(run / "report")
    assert page.count("the reference of this case is not there") == 1
    assert "differences" in page


def test_a_mask_is_gone(slicewise: Slicewise, run: Path, scans: Path, tmp_path: Path) -> None:
    (fold,) = read_results(run)
    name = fold.scores[0].case
    (run / "masks" / f"{name}.nii.gz").unlink()
    done = slicewise("report", run, "--work", tmp_path / "other", "--data", scans)
    assert done.returncode == 0, done.stderr
    assert f"No picture could be made of {name}." in text_of(run / "report")


def test_a_run_that_did_not_come_to_its_scores(slicewise: Slicewise, run: Path, work: Path) -> None:
    for name in ("scores.csv", "results.json", "model.json", "SHA256SUMS"):
        (run / name).unlink()
    done = slicewise("report", run, "--work", work)
    assert done.returncode == 0, done.stderr
    page = text_of(run / "report")
    assert "This run did not come to its scores" in page
    assert "Training loss" in page
    assert 'id="table"' not in page


def test_of_a_run_that_only_began_nothing_is_guessed(
    slicewise: Slicewise, run: Path, work: Path, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    shutil.copy(run / "config.yaml", begun)
    done = slicewise("report", begun, "--work", work)
    assert done.returncode == 0, done.stderr
    page = text_of(begun / "report")
    assert "unfinished run" in page
    assert "Let it come to its end" in page
    for text in ("U-Net", "--resume", "<h3>Network</h3>", "context<"):
        assert text not in page


def test_one_case_only(slicewise: Slicewise, run: Path, work: Path) -> None:
    (fold,) = read_results(run)
    assert fold.facts is not None
    write_results(run, fold.facts, fold.scores[:1], fold.reliability)
    done = slicewise("report", run, "--work", work)
    assert done.returncode == 0, done.stderr
    assert "the only case" in text_of(run / "report")


def test_every_fold(slicewise: Slicewise, model: Path, work: Path, tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("*.pt", "report", ".lock")
    for number in (0, 1):
        shutil.copytree(model, tmp_path / "all" / f"fold-{number}", ignore=ignored)
    second = tmp_path / "all" / "fold-1"
    (fold,) = read_results(second)
    assert fold.facts is not None
    facts = replace(fold.facts, fold=1, shared_patients=1)
    renamed = [replace(score, case=f"other{score.case}") for score in fold.scores]
    write_results(second, facts, renamed, fold.reliability)
    done = slicewise("report", tmp_path / "all", "--work", work, "--no-viewer")
    assert done.returncode == 0, done.stderr
    page = text_of(tmp_path / "all" / "report")
    assert "U-Net, folds 0, 1" in page
    assert "Held out: folds 0, 1." in page
    assert 'class="alarm"' in page
    assert "3 of 6 cases do not lie in the data set any more" in page


def test_masks_alone(
    slicewise: Slicewise, model: Path, scans: Path, work: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    done = slicewise("report", model / "masks", "--data", scans, "--work", work, "--out", out)
    assert done.returncode == 0, done.stderr
    page = text_of(out)
    assert "These masks have no scores" in page
    assert "Predicted volumes" in page
    assert "data:image/webp" in page
    for path in find_masks(model / "masks").values():
        mask = read_scan(path)
        volume_ml = (mask.voxels == 3).sum() * mask.voxel_volume_ml
        assert f"<td>label 3</td><td>predicted</td><td>{millilitres(volume_ml)}</td>" in page


def write_nifti(path: Path, voxels: Any) -> None:
    nib.Nifti1Image(voxels, np.eye(4)).to_filename(path)


def scan_like(kind: str) -> Any:
    values = np.arange(6 * 7 * 8).reshape(6, 7, 8)
    return {
        "fractions": (values / 10).astype(np.float32),
        "negative values": (values % 5 - 2).astype(np.int16),
        "336 different values": values.astype(np.int16),
    }[kind]


@pytest.mark.parametrize("kind", ["fractions", "negative values", "336 different values"])
def test_scans_are_not_taken_for_masks(
    slicewise: Slicewise, work: Path, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "scans").mkdir()
    write_nifti(tmp_path / "scans" / "a.nii.gz", scan_like(kind))
    done = slicewise("report", tmp_path / "scans", "--work", work)
    assert done.returncode == 2, done.stderr
    assert f"found:    {kind}" in done.stderr
    assert "give the folder of the masks as RUN, and that of the scans by --data" in done.stderr


def test_labels_saved_as_floating_point_are_masks(
    slicewise: Slicewise, work: Path, tmp_path: Path
) -> None:
    (tmp_path / "masks").mkdir()
    voxels = np.zeros((6, 7, 8), np.float32)
    voxels[1:3, 1:6, 2:7] = 2.9999
    write_nifti(tmp_path / "masks" / "a.nii.gz", voxels)
    done = slicewise("report", tmp_path / "masks", "--work", work)
    assert done.returncode == 0, done.stderr
    # 2 x 5 x 5 voxels of 1 mm.
    found = "<td>label 3</td><td>predicted</td><td>0.05</td>"
    assert found in text_of(tmp_path / "masks" / "report")


def test_two_masks_of_one_name(slicewise: Slicewise, work: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    for name in ("a.nii", "a.nii.gz"):
        write_nifti(tmp_path / "masks" / name, np.ones((3, 4, 5), np.uint8))
    done = slicewise("report", tmp_path / "masks", "--work", work)
    assert done.returncode == 1, done.stderr
    assert "found:    a.nii and a.nii.gz" in done.stderr


@pytest.mark.parametrize("room", [0, 5000])
def test_scans_too_large_for_the_viewer_are_named(
    slicewise: Slicewise, run: Path, work: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(report_cases, "_MOST_VIEWED_VOXELS", room)
    done = slicewise("report", run, "--work", work)
    assert done.returncode == 0, done.stderr
    page = text_of(run / "report")
    (names,) = re.findall("The viewer has no room for (.*?);", page)
    # A scan has 22 x 19 x 5 = 2090 voxels, so that two fit into 5000.
    assert names.count("case") == (3 if room == 0 else 1)
    assert ('id="viewer"' in page) == (room > 0)


def test_failures_without_pictures_are_counted(
    slicewise: Slicewise, run: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fold,) = read_results(run)
    assert fold.facts is not None
    rows = [replace(s, state="false negative", dice=0.0, predicted_ml=0.0) for s in fold.scores]
    copies = [replace(rows[0], case=f"gone{n}", patient=f"q{n}") for n in range(4)]
    facts = replace(fold.facts, validation_cases=len(rows) + 6)
    write_results(run, facts, [*rows, *copies], {})
    monkeypatch.setattr(case_choice, "MOST_FAILURES", 0)
    done = slicewise("report", run, "--work", work, "--no-viewer")
    assert done.returncode == 0, done.stderr
    page = text_of(run / "report")
    assert re.search(r"Pictures of the [123] worst of 7 cases that stand out", page)
    assert "2 held-out cases could not be scored" in page


def test_what_is_left_out_is_told_for_each_metric(
    slicewise: Slicewise, run: Path, work: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    (fold,) = read_results(other)
    assert fold.facts is not None
    nan = float("nan")
    missed = replace(
        fold.scores[0], state="false negative", dice=0.0, hd95_mm=nan, predicted_ml=0.0
    )
    write_results(other, fold.facts, [missed, *fold.scores[1:]], {})
    done = slicewise("report", run, "--work", work, "--against", other, "--no-viewer")
    assert done.returncode == 0, done.stderr
    page = text_of(run / "report")
    assert "HD95: core: left out" in page
    assert "Dice: core: left out" not in page
    assert "<td>2 of 3</td>" in page
    assert "where both found it" in page


def test_masks_without_their_scans(
    slicewise: Slicewise, model: Path, work: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    done = slicewise("report", model / "masks", "--work", work, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "the scans are not given" in text_of(out)


def test_a_baseline_that_lies_there_is_hinted_at(
    slicewise: Slicewise, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "w" / "runs" / "tiny-baseline" / "fold-0").mkdir(parents=True)
    done = slicewise("report", run, "--work", tmp_path / "w")
    assert done.returncode == 0, done.stderr
    page = text_of(run / "report")
    assert "report again with --baseline WORK/runs/tiny-baseline/fold-0" in page
    assert str(tmp_path) not in page


def test_beside_a_baseline(slicewise: Slicewise, run: Path, work: Path, tmp_path: Path) -> None:
    baseline = Path(shutil.copytree(run, tmp_path / "baseline"))
    (fold,) = read_results(baseline)
    assert fold.facts is not None
    worse = [replace(score, dice=score.dice / 2) for score in fold.scores]
    write_results(baseline, replace(fold.facts, kind="baseline"), worse, {})
    done = slicewise("report", run, "--work", work, "--baseline", baseline, "--no-viewer")
    assert done.returncode == 0, done.stderr
    assert "network and baseline on the same cases" in text_of(run / "report")
    # And the baseline itself.
    done = slicewise("report", baseline, "--work", work, "--no-viewer")
    assert done.returncode == 0, done.stderr
    page = text_of(baseline / "report")
    assert "classical baseline, fold 0" in page
    assert "<h3>Network</h3>" not in page


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere"], 1, "no id or address of a run"),
        (["RUN/scores.csv"], 2, "found:    a file"),
        (["RUN", "--data", "nowhere"], 2, "no such file or folder"),
        (["RUN", "--out", "RUN"], 1, "only an older report is replaced"),
        (["RUN", "--against", "nowhere"], 1, "no id or address of a run"),
        (["RUN", "--baseline", "OTHER"], 2, "give any other run with --against"),
        (["RUN", "--baseline", "OTHER/scores.csv"], 2, "scores of unknown origin"),
        (["RUN", "--baseline", "BEGUN"], 1, "found:    no scores"),
        (["RUN", "--against", "OTHER"], 1, "cases and structures that both have scored"),
        (["RUN/masks", "--against", "RUN"], 2, "which holds only masks"),
        (["EMPTY"], 1, "the folder of a run"),
    ],
)
def test_mistakes(
    slicewise: Slicewise, run: Path, work: Path, tmp_path: Path,
    arguments: list[str], code: int, said: str,
) -> None:  # fmt: skip
    other = Path(shutil.copytree(run, tmp_path / "other"))
    (fold,) = read_results(other)
    assert fold.facts is not None
    write_results(other, fold.facts, [replace(s, case="x" + s.case) for s in fold.scores], {})
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun").mkdir()
    shutil.copy(run / "config.yaml", tmp_path / "begun")
    places = {
        "RUN": run, "OTHER": other, "EMPTY": tmp_path / "empty", "BEGUN": tmp_path / "begun",
    }  # fmt: skip
    given = [
        str(places[text.split("/")[0]] / text.partition("/")[2])
        if text.split("/")[0] in places
        else text
        for text in arguments
    ]
    done = slicewise("report", *given, "--work", work)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (run / "report").exists()


def test_a_damaged_run(slicewise: Slicewise, run: Path, work: Path) -> None:
    (run / "results.json").write_text(json.dumps({"facts": {}}))
    done = slicewise("report", run, "--work", work)
    assert done.returncode == 1
    assert "facts.name" in done.stderr


def test_a_report_is_attached_to_its_run(
    slicewise: Slicewise, model: Path, run: Path, work: Path, tmp_path: Path
) -> None:
    done = slicewise("report", model, "--work", work, "--out", tmp_path / "out", "--attach")
    assert done.returncode == 0, done.stderr
    store = open_store(work)
    run_id = json.loads((model / "run.json").read_text())["run_id"]
    logged = {item.path for item in store.client.list_artifacts(run_id, "report")}
    assert logged == {"report/report.html", "report/report.pdf"}
    (run / "run.json").unlink()
    done = slicewise("report", run, "--work", work, "--out", tmp_path / "other", "--attach")
    assert done.returncode == 1
    assert "run.json" in done.stderr
    assert not (tmp_path / "other").exists()
