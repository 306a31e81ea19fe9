"""Versions are promoted, listed, exported and imported from Python, and nothing is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicewise.config import parse_config
from slicewise.errors import UsageError
from slicewise.evaluation.scores import Score, write_scores
from slicewise.tracking.runs import start_run
from slicewise.tracking.store import open_store
from slicewise.workflows.promote import (
    ListModelsOptions,
    PromoteOptions,
    RollBackOptions,
    list_models,
    promote,
    roll_back,
)
from slicewise.workflows.sync import SyncOptions, sync
from slicewise.workflows.transfer import (
    ExportOptions,
    ImportOptions,
    ListRunsOptions,
    export_to_file,
    import_from_file,
    list_runs,
)

CONFIG = "{name: toy, data: {labels: {core: 1}}, training: {steps: 1}}"


def make_version(work: Path, dice: float, folder: Path) -> None:
    """A run with scores of eight patients, and the version of a model that it registered."""
    store = open_store(work)
    with start_run(store, parse_config(CONFIG, "toy"), f"run {dice}") as run:
        rows = [
            Score(f"c{n}", f"p{n}", "core", "detected", value, value, 1, 1, 1, 1, 1, 1, 1)
            for n, value in enumerate(dice + 0.01 * n for n in range(8))
        ]
        write_scores(rows, folder / "scores.csv")
        run.log_artifact(folder / "scores.csv")
        run.log_metrics(0, {"dice": dice})
    if not store.client.search_registered_models():
        store.client.create_registered_model("toy")
    version = store.client.create_model_version(
        "toy", source="file:///nowhere", run_id=run.run_id, tags={"dice": f"{dice}"}
    )
    alias = "champion" if version.version in (1, "1") else "challenger"
    store.client.set_registered_model_alias("toy", alias, version.version)


def test_the_use_cases_return_results_and_print_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    for dice in (0.8, 0.7, 0.85):
        make_version(work, dice, tmp_path)

    refused = promote(PromoteOptions("models:/toy/2", work=work))
    assert not refused.is_promoted
    assert refused.comparison is not None
    assert refused.comparison.rows[0].difference.mean == pytest.approx(-0.1)
    done = promote(PromoteOptions("models:/toy@challenger", work=work))
    assert done.is_promoted
    assert done.champion is not None
    assert (done.champion.version, done.challenger.version) == (1, 3)
    rows = {row.version: row for row in list_models(ListModelsOptions(work=work))}
    assert rows[3].aliases == ("champion",)
    assert rows[1].aliases == ("previous",)
    assert rows[3].dice == 0.85
    back = roll_back(RollBackOptions("toy", "too slow", work))
    assert (back.former.version, back.champion.version) == (3, 1)
    with pytest.raises(UsageError):
        roll_back(RollBackOptions("toy", " ", work))

    runs = list_runs(ListRunsOptions(work=work))
    assert [run.dice for run in runs] == [0.85, 0.7, 0.8]
    exported = export_to_file(ExportOptions(tmp_path / "runs.tar", (runs[0].run_id,), work=work))
    assert exported.runs == (runs[0].run_id,)
    imported = import_from_file(ImportOptions(exported.file, work=tmp_path / "other"))
    assert list(imported.runs) == [runs[0].run_id]
    again = import_from_file(ImportOptions(exported.file, work=tmp_path / "other"))
    assert again.skipped == ["run 0.85"]

    synced = sync(SyncOptions(work))
    assert (synced.runs, synced.killed, synced.problem) == ((), (), "")
    assert capfd.readouterr() == ("", "")
