"""Checkpoints come back whole, or not at all with an error that names the way out."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slicewise.errors import CheckpointError, ModelError, OutputError
from slicewise.segmentation import checkpoint as module
from slicewise.segmentation.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from slicewise.segmentation.unet import UNet


def a_network() -> UNet:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return UNet(2, 1, (3, 4))


def a_checkpoint() -> Checkpoint:
    network = a_network()
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(2, 2, 8, 8)).sum().backward()
    optimizer.step()
    return Checkpoint(
        config_yaml="name: täst\n",
        model=network.state_dict(),
        training_state={
            "optimizer": optimizer.state_dict(),
            "numpy": np.random.default_rng(1).bit_generator.state,
            "torch": torch.get_rng_state(),
            "nested": [(1, 2.5, None, True), OrderedDict(a=b"x")],
        },
        facts={"step": 7, "score": float("nan"), "labels": ["hippocampus"]},
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoints") / "model.pt"
    save_checkpoint(a_checkpoint(), path)
    return path


def test_comes_back_as_it_was(saved: Path) -> None:
    written, read = a_checkpoint(), load_checkpoint(saved)
    assert read.config_yaml == "name: täst\n"
    assert read.facts["step"] == 7
    assert read.facts["labels"] == ["hippocampus"]
    assert list(read.model) == list(written.model)
    for name, values in written.model.items():
        assert torch.equal(read.model[name], values), name
    assert read.training_state is not None
    assert written.training_state is not None
    assert read.training_state["numpy"] == written.training_state["numpy"]
    assert read.training_state["nested"] == written.training_state["nested"]
    optimizer = torch.optim.AdamW(a_network().parameters())
    optimizer.load_state_dict(read.training_state["optimizer"])
    assert optimizer.state_dict()["state"][0]["step"] == 1


def test_without_training_state(tmp_path: Path) -> None:
    save_checkpoint(Checkpoint("", {}, None, {}), tmp_path / "deep" / "model.pt")
    assert load_checkpoint(tmp_path / "deep" / "model.pt").training_state is None


def test_plain_torch_reads_the_file_and_its_weights_fit(saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    assert a_network().load_state_dict(content["model"], strict=True)
    assert zipfile.ZipFile(saved).testzip() is None


def test_nothing_is_left_beside_it(saved: Path) -> None:
    assert [item.name for item in saved.parent.iterdir()] == [saved.name]


@pytest.mark.fault(75, "E")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_changed_bit_is_found(saved: Path, data: st.DataObject) -> None:
    content = bytearray(saved.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1), label="byte")
    content[position] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    damaged = saved.parent.parent / "damaged.pt"
    damaged.write_bytes(content)
    with pytest.raises(CheckpointError):
        load_checkpoint(damaged)


@pytest.mark.fault(75, "E")
def test_a_changed_bit_in_every_member_is_found(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    with zipfile.ZipFile(saved) as archive:
        members = [(item, archive.read(item)) for item in archive.infolist()]
    assert len(members) > 10
    for member, inside in members:
        if not inside:
            continue
        start = whole.index(inside, member.header_offset)
        content = bytearray(whole)
        content[start + len(inside) // 2] ^= 1
        (tmp_path / "model.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match="do not match their sha256"):
            load_checkpoint(tmp_path / "model.pt")


@pytest.mark.parametrize("kept", [0, 1, 63, 64, 100, 0.5, 0.999, -1, -64, -100])
def test_truncation_is_found(saved: Path, tmp_path: Path, kept: float) -> None:
    whole = saved.read_bytes()
    end = int(kept * len(whole)) if isinstance(kept, float) else kept
    (tmp_path / "model.pt").write_bytes(whole[:end])
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "model.pt")


def test_appended_bytes_are_found(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(saved.read_bytes() + b"\n")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "model.pt")


@pytest.mark.parametrize("content", [b"", b"hello", b"no archive " * 100])
def test_other_files_are_no_checkpoints(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "model.pt")
    assert caught.value.where == str(tmp_path / "model.pt")


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="directory"):
        load_checkpoint(tmp_path)


def test_missing_file_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        load_checkpoint(tmp_path / "model.pt")


@pytest.mark.fault(75, "E")
@pytest.mark.parametrize(("name", "sibling"), [("last.pt", "best.pt"), ("best.pt", "last.pt")])
def test_remedy_offers_the_sibling_that_exists(tmp_path: Path, name: str, sibling: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / name)
    assert sibling not in caught.value.remedy
    save_checkpoint(a_checkpoint(), tmp_path / sibling)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / name)
    assert str(tmp_path / sibling) in caught.value.remedy


class Touches:
    """Makes a file when it is unpickled without care."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.canary),)


@pytest.mark.fault(90, "E")
@pytest.mark.parametrize("sealed", [False, True])
def test_code_in_the_file_never_runs(tmp_path: Path, sealed: bool) -> None:
    path, canary = tmp_path / "model.pt", tmp_path / "canary"
    content = {"format": 1, "config_yaml": "", "model": {}, "training_state": None}
    torch.save(content | {"facts": {"x": Touches(canary)}}, path)
    if sealed:
        module._seal(path)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    assert not canary.exists()


@pytest.mark.fault(90, "E")
def test_code_in_a_bare_pickle_never_runs(tmp_path: Path) -> None:
    path, canary = tmp_path / "model.pt", tmp_path / "canary"
    path.write_bytes(pickle.dumps(Touches(canary)))
    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    assert not canary.exists()


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {"model": {}},
        {"format": 1, "config_yaml": "", "model": {}, "training_state": None, "facts": {}},
        {"format": 3, "config_yaml": "", "model": {}, "training_state": None, "facts": {}},
        {"format": 2, "config_yaml": "", "model": {"a": 1}, "training_state": None, "facts": {}},
    ],
)
def test_intact_file_with_other_content_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "model.pt"
    torch.save(content, path)
    module._seal(path)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


@pytest.mark.parametrize("value", [np.float64(1), np.zeros(2), Path("x"), {"deep": [{1, 2}]}])
def test_values_that_could_not_be_read_back_are_not_written(tmp_path: Path, value: object) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(TypeError, match="facts"):
        save_checkpoint(Checkpoint("", {}, None, {"value": value}), path)
    assert not path.exists()


@pytest.mark.fault(120, "E")
def test_failed_write_keeps_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    before = saved.read_bytes()
    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OutputError, match=r"room for at least [\d,]+ bytes"):
        save_checkpoint(a_checkpoint(), saved)
    assert saved.read_bytes() == before
    assert [item.name for item in saved.parent.iterdir()] == [saved.name]


@pytest.mark.fault(100, "E")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    checkpoint = a_checkpoint()
    name = next(name for name, item in checkpoint.model.items() if item.is_floating_point())
    spoilt = checkpoint.model[name].clone()
    spoilt.flatten()[-1] = value
    path = tmp_path / "model.pt"
    save_checkpoint(replace(checkpoint, model=checkpoint.model | {name: spoilt}), path)
    with pytest.raises(CheckpointError, match="NaN or infinite") as caught:
        load_checkpoint(path)
    assert caught.value.where == str(path)
    assert name in caught.value.found


def test_weights_go_into_the_network_that_fits() -> None:
    network = UNet(2, 1, (3, 4))
    load_weights(network, a_network().state_dict(), "model.pt")
    for name, values in a_network().state_dict().items():
        assert torch.equal(network.state_dict()[name], values), name


def test_weights_of_another_network_name_what_differs() -> None:
    network = UNet(5, 1, (3, 4, 6), normalization="instance")
    before = {name: values.clone() for name, values in network.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_weights(network, a_network().state_dict(), "model.pt")
    assert caught.value.where == "model.pt"
    assert "missing: downs.2.conv.0.weight, " in caught.value.found
    assert "unexpected: downs.0.conv.1.running_mean, " in caught.value.found
    assert "downs.0.conv.0.weight (3, 2, 3, 3) instead of (3, 5, 3, 3)" in caught.value.found
    assert " more" in caught.value.found
    assert len(caught.value.found) < 700
    assert "network section" in caught.value.remedy
    for name, values in network.state_dict().items():
        assert torch.equal(before[name], values), name
