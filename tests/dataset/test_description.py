"""``dataset.json`` or a manifest in, names of contrasts and structures out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slicewise.config import DataSection
from slicewise.dataset.description import (
    Description,
    read_description,
    require_none_ignored,
    with_description,
)
from slicewise.errors import DataError


def described(folder: Path, content: object) -> Description:
    (folder / "dataset.json").write_text(json.dumps(content))
    return read_description(folder)


def test_decathlon_names_values(tmp_path: Path) -> None:
    content = {
        "modality": {"1": "T1gd", "0": "FLAIR"},
        "labels": {"0": "background", "2": "edema/core", "7": " tumour "},
    }
    expected = Description(("FLAIR", "T1gd"), {"edema_core": 2, "tumour": 7})
    assert described(tmp_path, content) == expected


def test_nnunet_gives_names_values(tmp_path: Path) -> None:
    content = {
        "channel_names": {"0": "T2", "1": "T2", "2": "ADC"},
        "labels": {"background": 0, "zone": 3, "whole": [1, 3]},
    }
    # Two channels of one name are told apart; a region is no value.
    expected = Description(("T2_0", "T2_1", "ADC"), {"zone": 3}, regions=("whole",))
    assert described(tmp_path, content) == expected


@pytest.mark.fault(123, "E")
@pytest.mark.parametrize("name", ["ignore", "Ignore"])
def test_voxels_to_ignore_are_no_structure(tmp_path: Path, name: str) -> None:
    description = described(tmp_path, {"labels": {"background": 0, "zone": 1, name: 2}})
    assert description.labels == {"zone": 1}
    assert description.ignored == 2
    data = DataSection(root=tmp_path)
    require_none_ignored(description, data, {"a": {1: 0.5}})
    with pytest.raises(DataError, match=r"which dataset\.json calls ignore") as caught:
        require_none_ignored(description, data, {"a": {1: 0.5}, "b": {1: 0.5, 2: 0.1}})
    assert caught.value.where == f"{tmp_path}: b"
    on_purpose = DataSection(root=tmp_path, labels={"zone": 1, "rest": 2})
    require_none_ignored(description, on_purpose, {"b": {1: 0.5, 2: 0.1}})


@pytest.mark.parametrize("content", [[], {}, {"labels": {}, "modality": "MRI"}])
def test_what_says_nothing(tmp_path: Path, content: object) -> None:
    assert described(tmp_path, content) == Description(("image",), {})


@pytest.mark.parametrize(
    ("content", "where", "found"),
    [
        ({"labels": {"background": 0, "tumour": "one"}}, "labels.tumour", '"one"'),
        ({"labels": {"tumour": 1.5}}, "labels.tumour", "1.5"),
        ({"labels": {"tumour": -1}}, "labels.tumour", "-1"),
        ({"labels": {"tumour": None}}, "labels.tumour", "null"),
        ({"labels": {"tumour": True}}, "labels.tumour", "true"),
        ({"labels": {"1": " "}}, "labels.1", '" "'),
        ({"labels": {"one": "tumour"}}, "labels.one", '"tumour"'),
        ({"labels": {"whole": [1, "two"]}}, "labels.whole", '[1, "two"]'),
        ({"labels": {"whole": []}}, "labels.whole", "[]"),
        ({"labels": ["background", "tumour"]}, "labels", '["background", "tumour"]'),
        ({"labels": {"a": 1, "b": 1}}, "labels.b", "the value 1 of labels.a"),
        ({"labels": {"1": "a/b", "2": "a:b"}}, "labels.2", "the name a_b of labels.1"),
        ({"channel_names": {"zero": "T1"}}, "channel_names.zero", '"T1"'),
        ({"modality": {"T1": "0"}}, "modality.T1", '"0"'),
    ],
)
def test_an_entry_that_would_be_left_out_is_named(
    tmp_path: Path, content: object, where: str, found: str
) -> None:
    with pytest.raises(DataError) as caught:
        described(tmp_path, content)
    assert caught.value.where == f"{tmp_path / 'dataset.json'}: {where}"
    assert caught.value.found == found


def test_what_the_configuration_names_is_not_looked_for(tmp_path: Path) -> None:
    content = {"labels": {"tumour": "one"}, "modality": {"zero": "T1"}}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    data = DataSection(labels={"tumour": 1}, contrasts=("T1",))
    assert read_description(tmp_path, data).labels == {}


def test_numbers_in_quotes_are_numbers(tmp_path: Path) -> None:
    content = {"labels": {"background": "0", "tumour": "1"}}
    assert described(tmp_path, content).labels == {"tumour": 1}
    assert described(tmp_path, {"labels": {"0": "background", "3": "2"}}).labels == {"2": 3}


def test_damaged_or_missing(tmp_path: Path) -> None:
    assert read_description(tmp_path) == Description()
    (tmp_path / "dataset.json").write_text("{")
    assert read_description(tmp_path) == Description()


def test_contrasts_of_a_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "dataset.csv"
    manifest.write_text("case,contrast,image\na,T2,1\na,FLAIR,2\nb,T2,3\nb,FLAIR,4\n")
    for root in (tmp_path, manifest):
        assert read_description(root).contrasts == ("T2", "FLAIR")
    manifest.write_text("image\n1\n")
    assert read_description(manifest).contrasts == ("image",)


def test_given_contrasts_stay() -> None:
    description = Description(("T1", "T2"), {})
    assert with_description(DataSection(), description).contrasts == ("T1", "T2")
    given = DataSection(contrasts=("mine",))
    assert with_description(given, description).contrasts == ("mine",)
