"""What travels from one store to another arrives with nothing lost and nothing doubled."""

from __future__ import annotations

import hashlib
import io
import json
import math
import tarfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from slicewise.config import Config
from slicewise.errors import DataError, ModelError
from slicewise.imaging.files import sha256_of
from slicewise.tracking import Store, open_store, resolve_model, start_run
from slicewise.tracking.listing import all_runs
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.run_index import find_run
from slicewise.tracking.transfer.exporting import chosen_runs, export_runs
from slicewise.tracking.transfer.importing import Imported, exported_runs, import_runs
from slicewise.tracking.transfer.package import opened, pack

NAME = "Käse/übung 1"
OWN_TAGS = ("slicewise.imported_from", "slicewise.import_complete", "slicewise.spool_entry")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that is empty at first."""
    return open_store(tmp_path_factory.mktemp("target"))


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Name of a registered model that no other test has."""
    return f"moved {tmp_path.name}"


@pytest.fixture
def source(
    store: Store, config: Config, files: ModelFiles, model: str, tmp_path: Path
) -> tuple[Store, str, str]:
    """A store with a cross-validation of one fold; ids of parent and child."""
    tracking = config.tracking.model_copy(update={"experiment": NAME})
    config = config.model_copy(update={"tracking": tracking})
    (tmp_path / "größe.csv").write_text("a,b\n1,2\n")
    with (
        start_run(store, config, f"{NAME} all") as parent,
        start_run(
            store, config, f"{NAME} 0", fold=0, parent=parent.run_id, tags={"öl": "ja"}
        ) as child,
    ):
        for step in range(40):
            child.log_metrics(step, {"loss": 1 / (step + 1), "dice/x": step / 7})
        child.log_cases("training", {"a": "1", "b": "2"}, "toy")
        child.log_cases("validation", {"c": "3"}, "toy")
        child.log_artifact(tmp_path / "größe.csv", "tables/deep")
        child.register(files, model, card="# Card", tags={"dice": "0.9"})
        # The same content once more would be the same version.
        ensemble = replace(files, members=files.members * 2)
        child.register(ensemble, model, card="# Card two")
    return store, parent.run_id, child.run_id


@pytest.fixture
def package(source: tuple[Store, str, str], tmp_path: Path) -> Path:
    """The file with both runs; only the parent was named."""
    store, parent, _ = source
    folder, file = tmp_path / "folder", tmp_path / "runs.tar.gz"
    names = list(export_runs(store, chosen_runs(store, [parent], None), folder))
    assert names == [f"{NAME} all", f"{NAME} 0"]
    pack(folder, file)
    return file


@pytest.fixture
def small_package(store: Store, config: Config, tmp_path: Path) -> Path:
    """The file with one run that has no model."""
    with start_run(store, config, "small") as run:
        run.log_metrics(1, {"loss": 0.5})
    folder, file = tmp_path / "small", tmp_path / "small.tar.gz"
    list(export_runs(store, chosen_runs(store, [run.run_id], None), folder))
    pack(folder, file)
    return file


def carry(file: Path, store: Store, **more: bool) -> Imported:
    done = Imported()
    with opened(file) as folder:
        assert list(import_runs(store, folder, exported_runs(folder), done, **more))
    return done


def facts(store: Store, run_id: str, tmp_path: Path) -> dict[str, Any]:
    """All that a store tells about a run, without ids and places."""
    run = store.client.get_run(run_id)
    folder = tmp_path / f"artifacts-{run_id}"
    folder.mkdir(exist_ok=True)
    store.client.download_artifacts(run_id, "", str(folder))
    points = {
        key: [(p.step, p.timestamp, p.value) for p in store.client.get_metric_history(run_id, key)]
        for key in run.data.metrics
    }
    return {
        "name": run.info.run_name,
        "experiment": store.client.get_experiment(run.info.experiment_id).name,
        "status": run.info.status,
        "times": (run.info.start_time, run.info.end_time),
        "params": run.data.params,
        "tags": {
            key: value
            for key, value in run.data.tags.items()
            if not key.startswith(OWN_TAGS) and key != "mlflow.parentRunId"
        },
        "points": points,
        "inputs": sorted(
            (item.dataset.name, item.dataset.digest, item.dataset.profile, item.tags[0].value)
            for item in run.inputs.dataset_inputs
        ),
        "outputs": len(run.outputs.model_outputs),
        "files": {
            path.relative_to(folder).as_posix(): sha256_of(path)
            for path in folder.rglob("*")
            if path.is_file()
        },
    }


def test_everything_arrives_and_nothing_twice(
    source: tuple[Store, str, str], target: Store, package: Path, model: str, tmp_path: Path
) -> None:
    store, parent, child = source
    done = carry(package, target)
    assert set(done.runs) == {parent, child}
    for old, new in done.runs.items():
        assert old != new
        ours, theirs = facts(store, old, tmp_path), facts(target, new, tmp_path)
        assert ours == theirs
    assert len(facts(target, done.runs[child], tmp_path)["points"]["loss"]) == 40
    tags = target.client.get_run(done.runs[child]).data.tags
    assert tags["mlflow.parentRunId"] == done.runs[parent]
    assert tags["slicewise.imported_from.run_id"] == child

    number = done.versions[0].rpartition("/")[2]
    version = target.client.get_model_version(model, number)
    assert version.run_id == done.runs[child]
    assert version.description == "# Card"
    assert version.tags["dice"] == "0.9"
    aliases = target.client.get_registered_model(model).aliases
    assert set(aliases) == {"champion", "challenger"}
    found = resolve_model(target, f"models:/{model}/{number}")
    assert found is not None
    assert found.members[0].is_relative_to(target.folder)

    again = carry(package, target)
    assert sorted(again.skipped) == [f"{NAME} 0", f"{NAME} all"]
    assert again.runs == done.runs
    assert again.versions == []
    assert (
        len([run for run in all_runs(target, NAME) if run.info.run_id in done.runs.values()]) == 2
    )


def test_an_import_that_broke_off_is_done_again(
    source: tuple[Store, str, str], target: Store, package: Path, tmp_path: Path
) -> None:
    store, _, child = source
    with opened(package) as folder:
        runs = exported_runs(folder)
        broken = Imported()
        (folder / "runs" / child / "metrics.jsonl").write_text("no line\n")
        with pytest.raises(DataError, match=r"metrics\.jsonl:1"):
            list(import_runs(target, folder, runs, broken))
    done = carry(package, target)
    assert facts(store, child, tmp_path) == facts(target, done.runs[child], tmp_path)
    wanted = f"tags.`slicewise.imported_from.run_id` = '{child}'"
    experiment = target.experiment(NAME)
    assert len(target.client.search_runs([experiment], wanted)) == 1


@pytest.mark.parametrize("move", [False, True])
def test_an_alias_that_is_there_moves_only_when_asked(
    target: Store, package: Path, model: str, move: bool
) -> None:
    target.client.create_registered_model(model)
    own = target.client.create_model_version(model, source="file:///nowhere")
    target.client.set_registered_model_alias(model, "champion", own.version)
    done = carry(package, target, move_aliases=move)
    held = target.client.get_model_version_by_alias(model, "champion").version
    assert (str(held) != str(own.version)) is move
    assert (f"{model}@champion" in done.kept_aliases) is not move


def rewritten(file: Path, change: Callable[[dict[str, bytes]], None], tmp_path: Path) -> Path:
    with tarfile.open(file) as archive:
        members = {
            item.name: archive.extractfile(item).read()  # type: ignore[union-attr]
            for item in archive.getmembers()
        }
    change(members)
    path = tmp_path / "changed.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def _newer(members: dict[str, bytes]) -> None:
    manifest = json.loads(members["manifest.json"])
    members["manifest.json"] = json.dumps(manifest | {"format": 2}).encode()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda m: m.update({"registry.json": b"[ ]"}), "another checksum"),
        (lambda m: m.pop("registry.json"), "missing"),
        (lambda m: m.update({"more.txt": b""}), "not in the manifest"),
        (lambda m: m.update({"../out.txt": b""}), "leads outside"),
        (lambda m: m.update({"/out.txt": b""}), "leads outside"),
        (lambda m: m.pop("manifest.json"), "no manifest.json"),
        (_newer, "format 2"),
    ],
)
def test_a_damaged_package_is_refused_before_anything_is_written(
    target: Store, small_package: Path, tmp_path: Path, change: Any, found: str
) -> None:
    before = len(all_runs(target))
    file = rewritten(small_package, change, tmp_path)
    with pytest.raises(DataError, match=found):
        carry(file, target)
    assert len(all_runs(target)) == before


@pytest.mark.fault(99, "E")
@pytest.mark.parametrize("name", ["../../artifacts", "/tmp", "a/b", "", "..", "x\0"])
def test_ids_of_a_package_never_lead_out_of_it(
    small_package: Path, tmp_path: Path, name: str
) -> None:
    for change in ({"run_id": name}, {"outputs": [{"model_id": name, "step": 0}]}):
        file = rewritten(small_package, partial(_with_run, change), tmp_path)
        with opened(file) as folder, pytest.raises(DataError, match="in the package"):
            exported_runs(folder)


@pytest.mark.fault(99, "E")
@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"status": "DANCING"}, "status: 'DANCING'"),
        ({"start_time": None}, "start_time: None"),
        ({"tags": ["a"]}, "tags: "),
        ({"outputs": [{"model_id": "m-1"}]}, "no key outputs.0.step"),
        ({"inputs": [{"dataset": {}, "tags": {}}]}, "no key inputs.0.dataset.name"),
    ],
)
def test_content_of_a_package_is_checked(
    small_package: Path, tmp_path: Path, change: dict[str, Any], found: str
) -> None:
    file = rewritten(small_package, partial(_with_run, change), tmp_path)
    with pytest.raises(DataError) as caught, opened(file) as folder:
        exported_runs(folder)
    assert caught.value.where.startswith(f"{file}: runs/")
    assert found in caught.value.found


def _with_run(change: dict[str, Any], members: dict[str, bytes]) -> None:
    (key,) = (key for key in members if key.endswith("/run.json"))
    members[key] = json.dumps(json.loads(members[key]) | change).encode()
    manifest = json.loads(members["manifest.json"])
    manifest["sha256"][key] = hashlib.sha256(members[key]).hexdigest()
    members["manifest.json"] = json.dumps(manifest).encode()


@pytest.mark.fault(99, "E")
@pytest.mark.parametrize("run", ["../../secret", "a/b", ".", "x\0"])
def test_the_record_of_a_folder_never_leads_out_of_the_work_folder(
    tmp_path: Path, run: str
) -> None:
    RunFolder(tmp_path / "run").write_run_id(run)
    with pytest.raises(DataError, match="run id"):
        find_run(tmp_path / "run", tmp_path / "work")


@pytest.mark.fault(99, "E")
def test_a_run_is_not_called_by_a_path(store: Store) -> None:
    with pytest.raises(ModelError, match="not a path"):
        chosen_runs(store, ["../../secret"], None)


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_what_is_no_package_is_named(target: Store, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "other.tar.gz"
    file.write_bytes(content)
    with pytest.raises(DataError):
        carry(file, target)
    with pytest.raises(DataError):
        carry(tmp_path / "none.tar", target)


def test_unknown_runs_models_and_experiments_are_named(store: Store) -> None:
    for names, model in ((["0" * 32], None), ([], "nobody's")):
        with pytest.raises(ModelError, match=r"no (such run|model of this name)"):
            chosen_runs(store, names, model)
    with pytest.raises(ModelError, match="choose one of"):
        all_runs(store, "not/here")


def test_values_that_are_rare_arrive(
    store: Store, config: Config, target: Store, tmp_path: Path
) -> None:
    """Negative steps, huge values, one step twice, a run that failed."""
    run = start_run(store, config, "rare")
    with pytest.raises(MemoryError), run:
        raise MemoryError
    for time, value in ((5, 1e300), (6, -1e-300), (7, 0.0)):
        store.client.log_metric(run.run_id, "m", value, timestamp=time, step=-3)
    store.client.log_metric(run.run_id, "inf", math.inf, timestamp=1, step=0)
    folder, file = tmp_path / "folder", tmp_path / "runs.tar"
    list(export_runs(store, chosen_runs(store, [run.run_id], None), folder))
    pack(folder, file)
    done = carry(file, target)
    assert facts(store, run.run_id, tmp_path) == facts(target, done.runs[run.run_id], tmp_path)
    assert target.client.get_run(done.runs[run.run_id]).info.status == "FAILED"
