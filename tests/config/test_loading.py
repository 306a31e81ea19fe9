"""A configuration in, or all of its mistakes at once, each with its line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from slicewise.config import (
    Config,
    as_yaml,
    flatten,
    load_config,
    parse_config,
    text_without_places,
    with_overrides,
    without_places,
)
from slicewise.errors import ConfigError, ConfigErrors

MINIMAL = "name: trial\ndata:\n  root: scans\ntraining:\n  epochs: 2\n"
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


def mistakes(text: str, *overrides: str) -> list[ConfigError]:
    with pytest.raises(ConfigErrors) as caught:
        parse_config(text, "a.yaml", overrides)
    return caught.value.mistakes


def only_mistake(text: str, *overrides: str) -> ConfigError:
    found = mistakes(text, *overrides)
    assert len(found) == 1, [str(mistake) for mistake in found]
    return found[0]


def keys(section: dict[str, object], prefix: str = "") -> set[str]:
    named = set()
    for key, value in section.items():
        named.add(prefix + key)
        if isinstance(value, dict) and key != "labels":
            named |= keys(value, f"{prefix}{key}.")
    return named


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_files_load_and_name_every_key(path: Path) -> None:
    config = load_config(path)
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert keys(written) == keys(config.model_dump())


def test_there_are_shipped_files() -> None:
    assert {path.stem for path in CONFIGS} >= {"demo", "hippocampus", "smoke"}


def test_three_mistakes_are_reported_together_with_line_and_key() -> None:
    text = (
        "name: trial\n"
        "data:\n"
        "  rot: scans\n"
        "training:\n"
        "  epochs: -1\n"
        "network:\n"
        "  normalization: group\n"
    )
    found = {mistake.where: mistake for mistake in mistakes(text)}
    assert set(found) == {
        "a.yaml:3: data.rot",
        "a.yaml:5: training.epochs",
        "a.yaml:7: network.normalization",
    }
    assert found["a.yaml:3: data.rot"].remedy == "did you mean 'root'?"
    assert found["a.yaml:5: training.epochs"].found == "-1"
    assert "'batch' or 'instance'" in found["a.yaml:7: network.normalization"].expected


def test_all_places_stand_in_the_text_of_the_error() -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse_config("name: ''\nseed: x\ntraining: {epochs: 1}\n", "a.yaml")
    for place in ("a.yaml:1: name", "a.yaml:2: seed", "a.yaml: data"):
        assert place in str(caught.value)


def test_unknown_key_without_a_close_one_lists_the_keys() -> None:
    mistake = only_mistake(MINIMAL + "zzz: 1\n")
    assert mistake.where == "a.yaml:6: zzz"
    assert "preprocessing" in mistake.remedy


def test_missing_section_and_missing_name() -> None:
    found = mistakes("data: {}\n")
    assert {mistake.where for mistake in found} == {"a.yaml: name", "a.yaml: training"}
    assert {mistake.found for mistake in found} == {"no such key"}


@pytest.mark.parametrize(
    ("text", "where", "expected", "found"),
    [
        (
            "inference: {slice_exclusive: [{plane: axial, structures: [a, b]}]}",
            "a.yaml",
            "names of data.labels in inference.slice_exclusive",
            "also a, b",
        ),
        ("network: {window: [8, 8]}", "a.yaml:6: network", "at least 16 x 16", "8 x 8"),
    ],
)
def test_keys_that_contradict_one_another(text: str, where: str, expected: str, found: str) -> None:
    mistake = only_mistake(MINIMAL + text)
    assert mistake.where == where
    assert expected in mistake.expected
    assert mistake.found == found


def test_duplicate_key_names_both_lines() -> None:
    mistake = only_mistake(MINIMAL + "name: other\n")
    assert mistake.where == "a.yaml:6: name"
    assert "line 1" in mistake.found


def test_the_same_key_in_two_sections_is_no_duplicate() -> None:
    config = parse_config(MINIMAL + "inference: {batch_size: 1}\n", "a.yaml")
    assert (config.inference.batch_size, config.training.batch_size) == (1, 32)


@pytest.mark.fault(91, "E")
def test_python_objects_are_not_loaded(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    mistake = only_mistake(MINIMAL + f"seed: !!python/object/apply:os.mkdir ['{canary}']\n")
    assert mistake.where == "a.yaml:6"
    assert "python/object" in mistake.found
    assert not canary.exists()


@pytest.mark.fault(91, "E")
def test_python_objects_on_the_command_line_are_not_loaded(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    option = f"seed=!!python/object/apply:os.mkdir ['{canary}']"
    assert only_mistake(MINIMAL, option).where == f"`settings` {option}"
    assert not canary.exists()


@pytest.mark.fault(92, "E")
def test_targets_are_unknown_keys() -> None:
    assert only_mistake(MINIMAL + "network: {_target_: os.system}\n").found == "'_target_'"


@pytest.mark.fault(92, "E")
@pytest.mark.parametrize("value", ["$HOME/scans", "$import os", "/data/${oc.env:HOME}"])
def test_expressions_are_refused(value: str) -> None:
    mistake = only_mistake(MINIMAL.replace("scans", f"'{value}'"))
    assert mistake.where == "a.yaml:3: data.root"
    assert value in mistake.found
    option = f"data.root={value}"
    assert only_mistake(MINIMAL, option).where == f"`settings` {option}"


def test_expressions_in_lists_are_refused() -> None:
    text = MINIMAL.replace("root: scans", "contrasts: [T1, $T2]")
    assert only_mistake(text).where == "a.yaml:3: data.contrasts.1"


@pytest.mark.parametrize(
    "text", ["data: &data {root: a}\nnetwork: *data\n", "data: &data [*data]\n"]
)
def test_aliases_are_refused(text: str) -> None:
    assert "*data" in only_mistake(text).found


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("name: [1\n", "a.yaml:2"),
        ("name: 2024-13-45\n", "a.yaml"),
        ("[" * 3000, "a.yaml"),
        ("--- {}\n--- {}\n", "a.yaml:2"),
        ("? [a]\n: 1\n", "a.yaml:1"),
        ("just words", "a.yaml"),
        ("", "a.yaml"),
        ("- 1\n", "a.yaml"),
        ("name: \x07\n", "a.yaml"),
    ],
)
def test_text_that_is_no_configuration(text: str, where: str) -> None:
    assert only_mistake(text).where == where


@pytest.mark.parametrize("key", ["1", "yes"])
def test_keys_that_are_no_text(key: str) -> None:
    assert only_mistake(MINIMAL + f"{key}: 2\n").where.startswith("a.yaml")


def test_overrides_replace_values() -> None:
    config = parse_config(
        MINIMAL,
        "a.yaml",
        [
            "data.root=other: place: with colons",
            "network.features=[8, 16]",
            "data.labels.left=3",
            "training.learning_rate=1e-4",
            "preprocessing.spacing_mm=null",
        ],
    )
    assert config.data.root == Path("other: place: with colons")
    assert config.network.features == (8, 16)
    assert config.data.labels == {"left": 3}
    assert config.training.learning_rate == 1e-4
    assert config.preprocessing.spacing_mm is None


@pytest.mark.parametrize(
    "option",
    [
        "training.epoch=1",
        "trainin.epochs=1",
        "other.section.key=1",
        "training.epochs",
        "=1",
        "training.epochs=-1",
        "training.epochs.x=1",
        "name.x=1",
    ],
)
def test_wrong_overrides_are_named(option: str) -> None:
    assert [mistake.where for mistake in mistakes(MINIMAL, option)] == [f"`settings` {option}"]


def test_unknown_override_suggests_the_close_key() -> None:
    assert only_mistake(MINIMAL, "training.epoch=1").remedy == "did you mean 'epochs'?"


def test_mistakes_of_file_and_overrides_come_together() -> None:
    found = mistakes(MINIMAL + "seed: x\n", "training.batch_size=0")
    assert {mistake.where for mistake in found} == {
        "a.yaml:6: seed",
        "`settings` training.batch_size=0",
    }


def test_an_override_mends_the_file() -> None:
    assert parse_config(MINIMAL + "seed: x\n", "a.yaml", ["seed=4"]).seed == 4


@pytest.mark.parametrize("budget", ["", "epochs: 1, steps: 2", "epochs: null"])
def test_exactly_one_budget(budget: str) -> None:
    mistake = only_mistake(f"name: a\ndata: {{}}\ntraining: {{{budget}}}\n")
    assert mistake.where == "a.yaml:3: training"
    assert "exactly one of epochs, budget_minutes and steps" in mistake.expected


@pytest.mark.parametrize("key", ["epochs", "budget_minutes", "steps"])
def test_a_budget_on_the_command_line_replaces_the_one_of_the_file(key: str) -> None:
    training = parse_config(MINIMAL, "a.yaml", [f"training.{key}=7"]).training
    given = {name: getattr(training, name) for name in ("epochs", "budget_minutes", "steps")}
    assert given == dict.fromkeys(given) | {key: 7}


def test_an_empty_budget_on_the_command_line_replaces_nothing() -> None:
    assert parse_config(MINIMAL, "a.yaml", ["training.steps=null"]).training.epochs == 2


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_round_trip(path: Path) -> None:
    changes = ["data.root=some/place", "preprocessing.plane=axial"]
    config = load_config(path, [*changes, "preprocessing.spacing_mm=[0.7, 1.1]"])
    assert parse_config(as_yaml(config), "again") == config


def test_round_trip_of_names_that_yaml_takes_for_something_else() -> None:
    text = MINIMAL.replace("trial", "'1.5'").replace("scans", "'no'") + "tracking: {experiment: é}"
    config = parse_config(text, "a.yaml")
    assert (config.name, config.data.root) == ("1.5", Path("no"))
    assert parse_config(as_yaml(config), "again") == config


def test_flatten_names_every_key() -> None:
    config = load_config(CONFIGS[0], ["data.labels={left: 1, right: 7}"])
    flat = flatten(config)
    assert flat["data.labels.right"] == "7"
    assert flat["network.window"] == str(list(config.network.window))
    values = config.model_dump()
    sections = {key for key, value in values.items() if isinstance(value, dict) and value}
    labels = {"data.labels.left", "data.labels.right"}
    assert set(flat) == keys(values) - sections - {"data.labels"} | labels


def test_without_places_leaves_out_the_folder_only() -> None:
    config = parse_config(MINIMAL, "a.yaml")
    assert without_places(config).data.root is None
    assert without_places(config) == parse_config(MINIMAL, "a.yaml", ["data.root=null"])


@pytest.mark.parametrize("name", ["2024-01-15", "off", "1e3", "study #2", "a: b"])
def test_a_path_on_the_command_line_is_taken_as_it_stands(name: str) -> None:
    assert parse_config(MINIMAL, "a.yaml", [f"data.root={name}"]).data.root == Path(name)


def test_a_split_file_loses_its_folder() -> None:
    config = parse_config(MINIMAL, "a.yaml", ["data.folds=/somewhere/split.json"])
    assert without_places(config).data.folds == "split.json"


@pytest.mark.parametrize(
    "quoted", ["/home/jane/scans", "'/home/jane/o''hara: scans'", '"/home/jane/\\xe9"']
)
@pytest.mark.parametrize("override", [(), ("data.root=/scratch/of/jane",)])
def test_a_shared_file_names_no_folder(
    tmp_path: Path, quoted: str, override: tuple[str, ...]
) -> None:
    path = tmp_path / "mine.yaml"
    text = (
        f"# of /scratch/of/jane\nname: trial\ndata:\n  root: {quoted}  # mine\n"
        "  folds: /home/jane/split.json\ntraining:\n  epochs: 2\n"
    )
    path.write_text(text, encoding="utf-8")
    shared = text_without_places(path, load_config(path, override))
    assert "/home/jane" not in shared
    assert ("/scratch" in shared) == (not override)
    config = parse_config(shared, "shared")
    assert config == without_places(load_config(path))
    assert "  # mine" in shared


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: é".encode("latin-1"))
    expected = {
        tmp_path / "absent.yaml": "No such file or directory",
        tmp_path: "Is a directory",
        latin: "not UTF-8 text",
    }
    for path, problem in expected.items():
        with pytest.raises(ConfigErrors) as caught:
            load_config(path)
        assert caught.value.where == str(path)
        assert caught.value.mistakes[0].found == problem


def test_byte_order_mark_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(MINIMAL, encoding="utf-8-sig")
    assert load_config(path).name == "trial"


def test_defaults_are_a_complete_configuration() -> None:
    config = Config.defaults("csf", labels={"csf": 1}, data={"root": "scans"})
    text = "name: csf\ndata: {root: scans, labels: {csf: 1}}\ntraining: {budget_minutes: 30}"
    assert config == parse_config(text, "a.yaml")


def test_defaults_keep_a_budget_that_is_given() -> None:
    assert Config.defaults(training={"epochs": 5}).training.budget_minutes is None


def test_defaults_name_all_mistakes() -> None:
    with pytest.raises(ConfigErrors) as caught:
        Config.defaults("trial", training={"epoch": 5}, network={"features": []})
    first, second = sorted(str(mistake) for mistake in caught.value.mistakes)
    assert first.startswith("trial: network.features")
    assert "did you mean 'epochs'?" in second


def test_overrides_of_a_configuration() -> None:
    config = with_overrides(Config.defaults(), ["training.epochs=5", "data.root=off"])
    assert config.training.epochs == 5
    assert config.training.budget_minutes is None
    assert config.data.root == Path("off")
    with pytest.raises(ConfigErrors, match=r"network.dropout=2"):
        with_overrides(config, ["network.dropout=2"])


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("network.features=8,16", "a list, such as [8, 16]"),
        ("network.features=8", "a list, such as [8]"),
        ("data.contrasts=T1, T2", "a list, such as [T1, T2]"),
    ],
)
def test_a_list_without_brackets_is_shown_with_them(override: str, expected: str) -> None:
    mistake = only_mistake(MINIMAL, override)
    assert mistake.expected == expected


def test_a_missing_file_has_the_similar_one_next_to_it_in_its_message(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINIMAL)
    with pytest.raises(ConfigErrors) as caught:
        load_config(tmp_path / "mein.yaml")
    assert caught.value.mistakes[0].remedy == f"did you mean {tmp_path / 'mine.yaml'}?"


@pytest.mark.parametrize(
    ("override", "expected", "found"),
    [
        ("training.epochs=many", "a whole number", "'many'"),
        ("training.epochs=5.5", "a whole number", "5.5"),
        ("training.epochs=", "exactly one of epochs, budget_minutes and steps", "no budget"),
        ("training.learning_rate=[1]", "a number", "[1]"),
        ("training.channels_last=perhaps", "true or false", "'perhaps'"),
        ("training=5", "keys with their values, such as {key: value}", "5"),
        ("data.labels={core 3}", "a whole number", "no value"),
        ("data.labels={a: 1, b: 1}", "another value for each structure", "{a: 1, b: 1}"),
        ("data.folds=site", "site_pattern with folds: site", "folds: site without it"),
        ("data.root=", "the path of a data set; the working directory is .", "''"),
        ("tracking.experiment=", "text, not an empty one", "''"),
        ("network.window=[16]", "a list of more values than 1", "[16]"),
        (
            "name=../x",
            "letters, digits, dots, dashes and underscores, a letter or digit first",
            "'",
        ),
    ],
)
def test_mistakes_are_told_in_the_words_of_a_configuration(
    override: str, expected: str, found: str
) -> None:
    mistake = only_mistake(MINIMAL, override)
    assert mistake.expected == expected
    assert found in mistake.found
    assert "Section" not in str(mistake)


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("training.optimizer=adam", "did you mean 'adamw'?"),
        ("network.name=unett", "did you mean 'unet'?"),
        ("fold_count=3", "this key belongs to another section: data.fold_count"),
        ("data.learning_rate=1", "this key belongs to another section: training.learning_rate"),
    ],
)
def test_the_word_that_was_meant_is_named(override: str, remedy: str) -> None:
    assert only_mistake(MINIMAL, override).remedy == remedy


@pytest.mark.parametrize(
    ("text", "found"), [("", "an empty file"), ("- a\n", "a list"), ("a\n", "a single value")]
)
def test_a_text_without_sections(text: str, found: str) -> None:
    assert only_mistake(text).found == found


def test_a_file_that_exists_is_not_mistaken_for_another(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(MINIMAL)
    (tmp_path / "others.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigErrors) as caught:
        load_config(tmp_path / "others.yaml")
    assert "did you mean" not in str(caught.value)
