"""A packed model comes back as it was; what is damaged is named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from slicewise.config import Config, InferenceSection
from slicewise.dataset.measurements import measure
from slicewise.errors import ModelError
from slicewise.evaluation.inference_tuning.inference_file import read_inference, write_inference
from slicewise.imaging.volume import Volume
from slicewise.segmentation.checkpoint import load_checkpoint, save_checkpoint
from slicewise.segmentation.training_profile import (
    TrainingProfile,
    read_profile,
    with_profile,
)
from slicewise.tracking.packing import ModelFiles, pack_model, unpack_model


@pytest.fixture
def packed(checkpoint: Path, tmp_path: Path) -> Path:
    """Two networks and what held-out cases chose."""
    write_inference(InferenceSection(temperature=1.7), tmp_path / "inference.yaml")
    folder = tmp_path / "packed"
    files = ModelFiles((checkpoint, checkpoint), tmp_path / "inference.yaml")
    pack_model(files, "# Card", folder)
    return folder


def test_members_choices_and_card_come_back(packed: Path, config: Config) -> None:
    found = unpack_model(packed, "models:/toy/1")
    assert [path.name for path in found.members] == ["0.pt", "1.pt"]
    assert found.inference is not None
    assert read_inference(found.inference, config).temperature == 1.7
    assert (packed / "MODEL_CARD.md").read_text() == "# Card"
    assert all(load_checkpoint(path).training_state is None for path in found.members)


def test_more_than_ten_members_keep_their_order(checkpoint: Path, tmp_path: Path) -> None:
    pack_model(ModelFiles((checkpoint,) * 11), "# Card", tmp_path / "many")
    found = unpack_model(tmp_path / "many", "many")
    assert [path.stem for path in found.members] == [str(number) for number in range(11)]


@pytest.mark.fault(114, "OK")
def test_digest_of_a_model_that_was_trained_again_in_another_time(
    checkpoint: Path, tmp_path: Path
) -> None:
    trained = load_checkpoint(checkpoint)
    slower, other = tmp_path / "slower.pt", tmp_path / "other.pt"
    save_checkpoint(replace(trained, facts={**trained.facts, "seconds": 99.0}), slower)
    changed = {name: weight.clone() for name, weight in trained.model.items()}
    next(weight for weight in changed.values() if weight.dim()).view(-1)[0] += 1e-3
    save_checkpoint(replace(trained, model=changed), other)
    digests = [ModelFiles((path,)).digest() for path in (checkpoint, slower, other)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.fault(134, "W")
def test_what_the_scans_of_the_training_looked_like_travels(
    checkpoint: Path, tmp_path: Path
) -> None:
    scan = Volume(np.arange(64.0).reshape(4, 4, 4), np.eye(4))
    image = torch.from_numpy(scan.voxels).float()[None]
    profile = TrainingProfile.of([measure([scan], image + number) for number in range(6)])
    described = with_profile(load_checkpoint(checkpoint), profile)
    save_checkpoint(described, tmp_path / "described.pt")
    pack_model(ModelFiles((tmp_path / "described.pt",)), "# Card", tmp_path / "packed")
    (member,) = unpack_model(tmp_path / "packed", "models:/toy/1").members
    assert read_profile(load_checkpoint(member), "member") == profile


def test_a_model_of_the_first_format_is_read(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "first"
    folder.mkdir()
    shutil.copy(checkpoint, folder / "last.pt")
    assert unpack_model(folder, "old") == ModelFiles((folder / "last.pt",))


def test_a_changed_byte_is_named(packed: Path) -> None:
    path = packed / "members" / "1.pt"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"members/1\.pt, which was changed since") as caught:
        unpack_model(packed, "models:/toy/1")
    assert caught.value.where == "models:/toy/1"


@pytest.mark.fault(99, "E")
@pytest.mark.parametrize("name", ["../1.pt", "/1.pt", "members/../../1.pt", "a\0b", ".pt"])
def test_the_index_never_leads_out_of_the_model(packed: Path, name: str) -> None:
    index = packed / "format.json"
    content = json.loads(index.read_text())
    content["sha256"][name] = "0" * 64
    index.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"format\.json"):
        unpack_model(packed, "models:/toy/1")


@pytest.mark.parametrize("name", ["members/0.pt", "inference.yaml", "MODEL_CARD.md"])
def test_a_missing_file_is_named(packed: Path, name: str) -> None:
    (packed / name).unlink()
    with pytest.raises(ModelError, match=r"found: +no ") as caught:
        unpack_model(packed, "models:/toy/1")
    assert name in caught.value.found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (json.dumps({"format": 3, "sha256": {}}), "format 3"),
        ("{", "a damaged format.json"),
        (json.dumps({"format": 2}), "a damaged format.json"),
        (json.dumps({"format": 2, "sha256": {}}), "no network"),
    ],
)
def test_another_layout_is_refused(packed: Path, text: str, found: str) -> None:
    (packed / "format.json").write_text(text)
    shutil.rmtree(packed / "members")
    with pytest.raises(ModelError) as caught:
        unpack_model(packed, "models:/toy/1")
    assert caught.value.found == found


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="0 files"):
        unpack_model(tmp_path, "nothing")


def test_the_package_of_a_network_becomes_a_requirement(checkpoint: Path, tmp_path: Path) -> None:
    ours = load_checkpoint(checkpoint)
    facts = ours.facts | {"network_package": "their-package 1.2"}
    save_checkpoint(replace(ours, facts=facts), tmp_path / "theirs.pt")
    files = ModelFiles((checkpoint, tmp_path / "theirs.pt"))
    assert pack_model(files, "# Card", tmp_path / "packed") == ["their-package==1.2"]
