"""Folds side by side leave what folds one after the other leave; a lost one is trained later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slicewise.config import Config, load_config
from slicewise.errors import TrainingError
from slicewise.imaging.child_processes.child import ChildEndedError
from slicewise.segmentation.checkpoint import load_checkpoint
from slicewise.tracking.store import open_store
from slicewise.workflows import train as train_module
from slicewise.workflows.train import TrainOptions, train

SAME = (
    *("scores.csv", "inference.yaml", "inference_tuning.csv"),
    *(f"fold-{number}/{name}" for number in (0, 1) for name in ("config.yaml", "losses.csv")),
    *(f"fold-{number}/masks/case{case}.nii.gz" for number, case in ((0, 0), (0, 1), (1, 2))),
)


class _DiesOnce:
    """An engine of this process, in which the process of one fold dies."""

    def each(
        self,
        function: Callable[..., Any],
        items: Iterator[tuple[str, Any]],
        hear: Callable[..., None],
    ) -> Iterator[tuple[str, Any]]:
        """Results, the last one first."""
        from slicewise.workflows.parallel.relayed_progress import RelayedProgress

        for name, item in reversed(list(items)):
            if name == "fold 0":
                yield name, ChildEndedError("died of SIGSEGV")
                continue
            progress = RelayedProgress(lambda report, name=name: hear(name, report))
            yield name, function(item, progress)


@pytest.fixture
def config(tiny: Path, scans: Path) -> Config:
    return load_config(tiny, [f"data.root={scans}"])


@pytest.mark.slow
def test_the_same_files_as_one_after_the_other(config: Config, work: Path, tmp_path: Path) -> None:
    one, two = (
        train(TrainOptions(config, None, tmp_path / str(parallel), work, parallel=parallel))
        for parallel in (None, 2)
    )
    assert one.rows == two.rows
    names = [name for name in SAME if (one.folder / name).is_file()]
    assert len(names) > 6
    for name in names:
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes(), name
    for fold in ("fold-0", "fold-1"):
        here, there = (load_checkpoint(run.folder / fold / "last.pt") for run in (one, two))
        for key, weights in here.model.items():
            assert weights.equal(there.model[key]), key
    client = open_store(work).client
    parent = client.get_run(two.run_id)
    assert parent.info.status == "FINISHED"
    for fold in two.folds:
        run = client.get_run(fold.run_id)
        assert run.data.tags["mlflow.parentRunId"] == two.run_id
        assert run.info.status == "FINISHED"
    assert two.registered != one.registered


@pytest.mark.slow
@pytest.mark.fault(110, "Q")
def test_a_lost_fold_is_trained_later(
    config: Config, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "folds"
    with monkeypatch.context() as patch:
        patch.setattr(train_module, "engine_of", lambda *_: _DiesOnce())
        with pytest.raises(TrainingError) as caught:
            train(TrainOptions(config, None, out, work, parallel=2))
    assert caught.value.found == ("1 that did not end well: fold 0: a process that died of SIGSEGV")
    own = out / "fold-0"
    assert caught.value.remedy == (
        f"continue what is missing with `fold` all `out` {out} `resume`; one alone with "
        f"`fold` 0 `out` {own}"
    )
    kept = (out / "fold-1" / "last.pt").read_bytes()
    alone = train(TrainOptions(config, 0, own, work))
    assert alone.registered == ""
    whole = train(TrainOptions(config, None, out, work, resume=True, parallel=2))
    assert whole.registered
    assert (out / "fold-1" / "last.pt").read_bytes() == kept
    assert [fold.fold.number for fold in whole.folds] == [0, 1]
    tags = open_store(work).client.get_run(alone.run_id).data.tags
    assert tags["mlflow.parentRunId"] == whole.run_id
