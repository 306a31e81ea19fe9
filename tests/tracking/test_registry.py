from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import slicewise
from slicewise.config import Config
from slicewise.errors import GeometryError, ModelError, ScanError
from slicewise.segmentation.checkpoint import load_checkpoint
from slicewise.segmentation.inference import Predictor
from slicewise.tracking import Store, register_model, resolve_model, start_run
from slicewise.tracking.aliases import ensure_alias
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.promotion import find_model_version
from slicewise.tracking.registry import (
    input_example,
    requirements,
    save_servable,
    synthetic_example,
)
from slicewise.tracking.request_scans import ALLOWED_FOLDER
from slicewise.tracking.resolving import known_run
from slicewise.tracking.transfer.exporting import chosen_runs


@pytest.mark.usefixtures("threshold_predictor")
def test_first_version_is_champion_and_the_next_challenger(
    store: Store, config: Config, files: ModelFiles
) -> None:
    with start_run(store, config, "aliases") as run:
        first = register_model(run, files, "aliased", card="# Card", tags={"dice": "0.9"})
        second = register_model(run, files, "aliased", card="# Card")

    assert (first.name, first.alias) == ("aliased", "champion")
    assert (second.name, second.alias) == ("aliased", "challenger")
    assert (first.uri, second.uri) == ("models:/aliased/1", "models:/aliased/2")
    assert store.client.get_model_version_by_alias("aliased", "champion").tags == {"dice": "0.9"}
    outputs = store.client.get_run(run.run_id).outputs.model_outputs
    assert len(outputs) == 2


def test_of_two_first_trainings_the_first_at_the_door_is_champion(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.client.create_registered_model("race")
    for number in (1, 2):
        store.client.create_model_version("race", source=f"file:///nowhere/{number}")
    set_alias = store.client.set_registered_model_alias
    later = threading.Thread(target=ensure_alias, args=(store, "race", 2))

    def meanwhile(*arguments: str) -> None:
        monkeypatch.undo()
        later.start()
        later.join(0.2)
        set_alias(*arguments)

    monkeypatch.setattr(store.client, "set_registered_model_alias", meanwhile)
    assert ensure_alias(store, "race", 1) == "champion"
    later.join()
    aliases = store.client.get_registered_model("race").aliases
    assert {alias: int(number) for alias, number in aliases.items()} == {
        "champion": 1,
        "challenger": 2,
    }


def test_an_unknown_run_is_named_with_similar_ones(store: Store, config: Config) -> None:
    with start_run(store, config, "similar run") as run:
        pass
    for unknown, question in (
        ("of nobody", ""),
        (run.run_id[:8], f"did you mean {run.run_id}? "),
        ("similar run", f"did you mean {run.run_id}? "),
        (f"{run.run_id[:-1]}x", f"did you mean {run.run_id}"),
    ):
        for find in (known_run, find_model_version, lambda *on: chosen_runs(on[0], [on[1]], None)):
            with pytest.raises(ModelError, match="no such run") as caught:
                find(store, unknown)
            assert caught.value.remedy.startswith(question or "list the runs with")


@pytest.mark.usefixtures("threshold_predictor")
def test_checkpoint_is_found_by_run_version_and_alias(
    store: Store, config: Config, files: ModelFiles
) -> None:
    with start_run(store, config, "found again") as run:
        registered = register_model(run, files, "found", card="# Card")

    for text in (run.run_id, registered.uri, f"models:/{registered.name}@{registered.alias}"):
        found = resolve_model(store, text)
        assert found is not None
        (member,) = found.members
        packed = load_checkpoint(member)
        assert packed.model["weight"].tolist() == [0, 1, 2, 3, 4, 5]
        # What only a training needs stays behind.
        assert packed.training_state is None
        assert found.inference is None


@pytest.mark.parametrize("text", ["runs/best.pt", "work/train", "0123abc"])
def test_other_texts_are_paths(store: Store, text: str) -> None:
    assert resolve_model(store, text) is None


@pytest.mark.usefixtures("threshold_predictor")
@pytest.mark.parametrize(
    "text", ["models:/known@nobody", "models:/known/7", "models:/unknown/1", "models:/known"]
)
def test_address_without_model_names_what_there_is(
    store: Store, config: Config, files: ModelFiles, text: str
) -> None:
    with start_run(store, config, "known") as run:
        register_model(run, files, "known", card="# Card")

    with pytest.raises(ModelError) as caught:
        resolve_model(store, text)

    assert caught.value.where == text
    assert "models:/known@champion" in caught.value.remedy


def test_run_without_checkpoint_is_an_error(store: Store, config: Config) -> None:
    with start_run(store, config, "empty") as run:
        pass

    with pytest.raises(ModelError, match="artifacts of a model"):
        resolve_model(store, run.run_id)


@pytest.mark.usefixtures("threshold_predictor")
def test_name_that_the_registry_refuses_is_an_error(
    store: Store, config: Config, files: ModelFiles
) -> None:
    with (
        start_run(store, config, "bad name") as run,
        pytest.raises(ModelError, match=r"tracking\.model_name"),
    ):
        register_model(run, files, "a/b:c", card="# Card")


def test_requirements_name_no_build() -> None:
    pinned = requirements()

    assert all("==" in item and "+" not in item for item in pinned)
    assert any(item.startswith("torch==") for item in pinned)


@pytest.mark.usefixtures("threshold_predictor")
def test_served_mask_lies_on_the_grid_of_its_scan(
    store: Store, config: Config, files: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.pyfunc

    voxels = np.zeros((5, 7, 3), np.float32)
    voxels[4, 1, 2] = 900
    affine = np.array([[0, -2, 0, 11], [1, 0, 0.5, -7], [0, 0, 3, 5], [0, 0, 0, 1]], float)
    scan = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(voxels, affine), scan)
    with start_run(store, config, "served") as run:
        register_model(run, files, "served", card="# Card", example=scan.read_bytes())
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    location = store.client.get_model_version_download_uri("served", "1")

    model = mlflow.pyfunc.load_model(location)
    answer = model.predict(model.input_example)

    returned = tmp_path / "mask.nii.gz"
    returned.write_bytes(base64.b64decode(answer["mask"][0]))
    mask = nib.load(returned)
    np.testing.assert_allclose(mask.affine, affine)
    np.testing.assert_array_equal(np.argwhere(np.asarray(mask.dataobj)), [[4, 1, 2]])
    # One voxel of 1 x 2 x 3 mm and a little shear, in ml.
    volume_ml = abs(np.linalg.det(affine[:3, :3])) / 1000
    assert json.loads(answer["volumes_ml"][0]) == {"left part (a)": pytest.approx(volume_ml)}
    assert json.loads(answer["unlike"][0]) == {"unlikeness": None, "reasons": []}
    assert json.loads(answer["notes"][0]) == []
    sure = json.loads(answer["confidence"][0])["left part (a)"]
    # One voxel of 0.9 inside, 104 of 0.1 outside: 2 x 0.9 / (0.9 + 10.4 + 1).
    assert sure["estimated_dice"] == pytest.approx(1.8 / 12.3)
    assert sure["predicted_dice"] is None
    with pytest.raises(ScanError, match="base64"):
        model.predict(pd.DataFrame({"nifti": ["not base64!"]}))
    with pytest.raises(ScanError, match="neither"):
        model.predict(pd.DataFrame({"nifti": [None]}, dtype="string"))


@pytest.mark.usefixtures("threshold_predictor")
def test_paths_are_taken_only_below_the_folder_that_is_permitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slicewise.tracking.served_model import ServedModel

    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "scan.nii.gz").write_bytes(synthetic_example())
    (inside / "link.nii.gz").symlink_to(outside / "scan.nii.gz")
    model = ServedModel()
    model.predictor = Predictor.from_checkpoint(tmp_path)

    def ask(path: Path) -> list[str]:
        return list(model.predict(None, pd.DataFrame({"path": [str(path)]})))  # type: ignore[arg-type]

    with pytest.raises(ScanError, match="does not permit"):
        ask(inside / "scan.nii.gz")
    monkeypatch.setenv(ALLOWED_FOLDER, str(inside))
    assert ask(inside / "scan.nii.gz") == ["mask", "volumes_ml", "confidence", "unlike", "notes"]
    for path in (
        outside / "scan.nii.gz",
        inside / "link.nii.gz",
        inside / "../outside/scan.nii.gz",
    ):
        with pytest.raises(ScanError, match="a path elsewhere") as caught:
            ask(path)
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.usefixtures("threshold_predictor")
def test_several_contrasts_have_a_column_each(
    store: Store, config: Config, files: ModelFiles
) -> None:
    import mlflow.pyfunc

    with start_run(store, config, "contrasts") as run:
        register_model(run, files, "contrasts", card="# Card", contrasts=("t1", "flair"))

    model = mlflow.pyfunc.load_model(store.client.get_model_version_download_uri("contrasts", "1"))
    names = ["nifti_t1", "nifti_flair", "path_t1", "path_flair"]
    assert model.metadata.get_input_schema().input_names() == names
    # The stand-in knows one contrast, so the columns of two are refused by name.
    with pytest.raises(ScanError, match="neither as text"):
        model.predict(model.input_example)


@pytest.mark.usefixtures("threshold_predictor")
@pytest.mark.parametrize("policy", ["resample", "refuse"])
def test_contrasts_on_different_grids_are_met_as_in_training(tmp_path: Path, policy: str) -> None:
    from slicewise.tracking.served_model import ServedModel

    model = ServedModel()
    predictor: Any = Predictor.from_checkpoint(tmp_path)
    data = predictor.config.data.model_copy(update={"contrasts": ("t1", "flair")})
    reading = predictor.config.reading.model_copy(update={"different_grids": policy})
    predictor.config = predictor.config.model_copy(update={"data": data, "reading": reading})
    model.predictor = predictor
    texts = []
    # The same block of 6 x 6 x 6 mm: once with thick slices, once with thin ones.
    for depth, thickness_mm in ((4, 3.0), (12, 1.0)):
        voxels = np.zeros((8, 9, depth), np.float32)
        voxels[1:7, 2:8, depth // 4 : 3 * depth // 4] = 900
        path = tmp_path / f"{depth}.nii.gz"
        # Its outer borders lie in one place.
        affine = np.diag([1.0, 1.0, thickness_mm, 1.0])
        affine[2, 3] = thickness_mm / 2
        nib.save(nib.Nifti1Image(voxels, affine), path)
        texts.append(base64.b64encode(path.read_bytes()).decode())
    table = pd.DataFrame([texts], columns=["nifti_t1", "nifti_flair"])
    if policy == "refuse":
        with pytest.raises(GeometryError, match="different_grids"):
            model.predict(None, table)  # type: ignore[arg-type]
        return
    returned = tmp_path / "mask.nii.gz"
    returned.write_bytes(base64.b64decode(model.predict(None, table)["mask"][0]))  # type: ignore[arg-type]
    assert nib.load(returned).shape == (8, 9, 4)


def test_example_is_small_and_readable(tmp_path: Path) -> None:
    content = synthetic_example()
    path = tmp_path / "example.nii.gz"
    path.write_bytes(content)

    assert len(content) < 100_000
    assert nib.load(path).shape == (40, 36, 12)


@pytest.mark.usefixtures("threshold_predictor")
def test_the_package_travels_with_the_model_and_nothing_else(
    files: ModelFiles, tmp_path: Path
) -> None:
    folder = tmp_path / "saved"
    save_servable(folder, files, "# Card", input_example(("image",)))

    source = Path(slicewise.__file__).parent
    ours = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    copied = folder / "code" / "slicewise"
    assert [path.name for path in (folder / "code").iterdir()] == ["slicewise"]
    assert {path.relative_to(copied) for path in copied.rglob("*") if path.is_file()} == {
        path for path in ours if "__pycache__" not in path.parts
    }


LOAD_ELSEWHERE = """
import sys
import mlflow.pyfunc

model = mlflow.pyfunc.load_model(sys.argv[1])
answer = model.predict(model.input_example)
import slicewise
assert slicewise.__file__.startswith(sys.argv[2]), slicewise.__file__
print(len(answer["mask"][0]))
"""


@pytest.mark.slow
def test_model_loads_elsewhere_with_pickle_forbidden(
    store: Store, config: Config, tmp_path: Path
) -> None:
    from slicewise.config import as_yaml
    from slicewise.segmentation.checkpoint import Checkpoint, save_checkpoint
    from slicewise.segmentation.unet import UNet

    small = config.model_copy(
        update={"network": config.network.model_copy(update={"features": (4, 8)})}
    )
    path = tmp_path / "best.pt"
    weights = UNet(small.in_channels, small.out_channels, (4, 8)).state_dict()
    save_checkpoint(Checkpoint(as_yaml(small), dict(weights), None, {}), path)
    with start_run(store, small, "elsewhere") as run:
        register_model(run, ModelFiles((path,)), "elsewhere", card="# Card")
    model = store.client.get_model_version_download_uri("elsewhere", "1").removeprefix("file://")
    folder = Path(model.replace("%20", " "))

    done = subprocess.run(
        [sys.executable, "-c", LOAD_ELSEWHERE, str(folder), str(folder)],
        cwd=tmp_path,
        env={"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 100
