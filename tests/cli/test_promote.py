"""Versions are compared with the champion, promoted, forced and rolled back by the command."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from slicewise.config import parse_config
from slicewise.errors import OutputError
from slicewise.evaluation.scores import Score, write_scores
from slicewise.tracking.promotion import champion_of, find_model_version
from slicewise.tracking.runs import start_run
from slicewise.tracking.store import Store, answering, open_store

Slicewise = Callable[..., Any]
LEVELS = (0.71, 0.74, 0.78, 0.8, 0.83, 0.85, 0.88, 0.91)
Register = Callable[..., str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One work folder: making its tables takes seconds."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def store(place: Path) -> Store:
    return open_store(place)


@pytest.fixture
def register(store: Store, tiny: Path, tmp_path: Path) -> Register:
    """Make a run with scores, and a version of a model that comes from it; returns the run id."""

    def make(name: str, dice: Sequence[float] | None, folds: str = "by patient") -> str:
        config = parse_config(tiny.read_text(), "tiny")
        with start_run(store, config, name) as run:
            if dice is not None:
                write_scores(rows(dice), tmp_path / "scores.csv")
                run.log_artifact(tmp_path / "scores.csv")
        if name not in [model.name for model in store.client.search_registered_models()]:
            store.client.create_registered_model(name)
        version = store.client.create_model_version(
            name, source="file:///nowhere", run_id=run.run_id, tags={"folds": folds, "dice": "0.8"}
        )
        aliases = store.client.get_registered_model(name).aliases
        alias = "challenger" if "champion" in aliases else "champion"
        store.client.set_registered_model_alias(name, alias, version.version)
        return str(run.run_id)

    return make


def rows(dice: Sequence[float]) -> list[Score]:
    return [
        Score(f"c{n}", f"p{n}", "core", "detected", value, value, 1, 1, 1, 1, 1, 1, 1)
        for n, value in enumerate(dice)
    ]


def aliases(store: Store, name: str) -> dict[str, str]:
    return {k: str(v) for k, v in store.client.get_registered_model(name).aliases.items()}


def test_a_better_challenger_takes_the_place_and_gives_it_back(
    slicewise: Slicewise, register: Register, store: Store, place: Path, tmp_path: Path
) -> None:
    register("better", LEVELS)
    run = register("better", [value + 0.02 for value in LEVELS])
    done = slicewise("promote", run, "--work", place)
    assert done.returncode == 0, done.stderr
    assert "models:/better/2 is the champion" in done.stdout
    assert "+0.0200 [+0.0200, +0.0200]" in done.stdout
    assert aliases(store, "better") == {"champion": "2", "previous": "1"}
    tags = store.client.get_model_version("better", "2").tags
    assert tags["promoted_over"] == "1"
    assert tags["promotion_difference"] == "+0.0200"
    assert tags["promotion_cases"] == "8"
    assert "promotion_forced" not in tags

    again = slicewise("promote", run, "--work", place)
    assert again.returncode == 0
    assert "is the champion already" in again.stdout

    back = slicewise("rollback", "better", "--reason", "fails on thin slices", "--work", place)
    assert back.returncode == 0, back.stderr
    assert aliases(store, "better") == {"champion": "1"}
    tags = store.client.get_model_version("better", "2").tags
    assert tags["rolled_back_because"] == "fails on thin slices"

    none = slicewise("rollback", "better", "--reason", "again", "--work", place)
    assert none.returncode == 1
    assert "the former champion" in none.stderr

    listed = tmp_path / "models.json"
    done = slicewise("models", "better", "--json", listed, "--work", place)
    assert done.returncode == 0, done.stderr
    shown = {row["version"]: row for row in json.loads(listed.read_text())}
    assert shown[1]["aliases"] == ["champion"]
    assert shown[2]["run_id"] == run


def test_a_worse_challenger_stays_one_unless_there_is_a_reason(
    slicewise: Slicewise, register: Register, store: Store, place: Path
) -> None:
    register("worse", LEVELS)
    register("worse", [value - 0.02 for value in LEVELS])
    done = slicewise("promote", "models:/worse@challenger", "--work", place)
    assert done.returncode == 9
    assert "is not promoted" in done.stdout
    assert "core: the Dice may be lower by 0.0200" in done.stderr
    assert aliases(store, "worse") == {"champion": "1", "challenger": "2"}

    empty = slicewise("promote", "models:/worse/2", "--force", "  ", "--work", place)
    assert empty.returncode == 2
    assert aliases(store, "worse")["champion"] == "1"

    done = slicewise("promote", "models:/worse/2", "--force", "new scanner", "--work", place)
    assert done.returncode == 0, done.stderr
    assert aliases(store, "worse") == {"champion": "2", "previous": "1"}
    tags = store.client.get_model_version("worse", "2").tags
    assert tags["promotion_forced"] == "new scanner"
    assert tags["promotion_difference"] == "-0.0200"


def test_biased_folds_are_no_proof(slicewise: Slicewise, register: Register, place: Path) -> None:
    register("biased", LEVELS)
    register("biased", [v + 0.05 for v in LEVELS], folds="by case, patients shared")
    done = slicewise("promote", "models:/biased/2", "--work", place)
    assert done.returncode == 9
    assert "its scores are optimistically biased" in done.stderr


def test_without_scores_only_a_reason_helps(
    slicewise: Slicewise, register: Register, store: Store, place: Path
) -> None:
    register("unscored", LEVELS)
    register("unscored", None)
    done = slicewise("promote", "models:/unscored@challenger", "--work", place)
    assert done.returncode == 1
    assert "no scores.csv in run" in done.stderr
    done = slicewise(
        "promote", "models:/unscored/2", "--force", "it is all we have", "--work", place
    )
    assert done.returncode == 0, done.stderr
    assert aliases(store, "unscored")["champion"] == "2"


def test_a_model_without_champion_takes_the_first(
    slicewise: Slicewise, register: Register, store: Store, place: Path
) -> None:
    run = register("first", LEVELS)
    store.client.delete_registered_model_alias("first", "champion")
    done = slicewise("promote", run, "--work", place)
    assert done.returncode == 0, done.stderr
    assert "there was none to compare with" in done.stdout
    assert aliases(store, "first") == {"champion": "1"}


def test_a_promotion_that_broke_off_is_completed(
    slicewise: Slicewise, register: Register, store: Store, place: Path
) -> None:
    register("broken", LEVELS)
    register("broken", LEVELS)
    # As a crash leaves it: the new champion is still a challenger, too.
    store.client.set_registered_model_alias("broken", "previous", "1")
    store.client.set_registered_model_alias("broken", "champion", "2")
    done = slicewise("promote", "models:/broken/2", "--work", place)
    assert done.returncode == 0, done.stderr
    assert aliases(store, "broken") == {"champion": "2", "previous": "1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models:/known@nobody", "models:/known@champion"),
        ("models:/unbekännt/1", "models:/known@champion"),
        ("models:/a/b/c", "models:/name@alias or models:/name/3"),
        ("0" * 32, "no such run"),
    ],
)
def test_what_leads_to_no_version_is_named(
    slicewise: Slicewise, register: Register, place: Path, text: str, expected: str
) -> None:
    register("known", LEVELS)
    done = slicewise("promote", text, "--work", place)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_damaged_scores_are_named(
    slicewise: Slicewise, register: Register, store: Store, place: Path, tmp_path: Path
) -> None:
    register("damaged", LEVELS)
    run = register("damaged", LEVELS)
    (tmp_path / "scores.csv").write_text("case,patient\n1,2\n")
    store.client.log_artifact(run, str(tmp_path / "scores.csv"))
    done = slicewise("promote", run, "--work", place)
    assert done.returncode == 1
    assert "no column structure" in done.stderr


def test_a_folder_without_a_run_is_named(slicewise: Slicewise, place: Path, tmp_path: Path) -> None:
    done = slicewise("promote", tmp_path, "--work", place)
    assert done.returncode == 1
    assert "no run.json" in done.stderr


def test_an_unknown_model_has_no_versions(
    slicewise: Slicewise, register: Register, place: Path
) -> None:
    register("known", LEVELS)
    done = slicewise("models", "b/a", "--work", place)
    assert done.returncode == 1
    assert "choose one of" in done.stderr


def test_a_refused_permission_is_an_error_of_ours(store: Store) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    with pytest.raises(OutputError, match="Permission denied") as caught, answering(store, "it"):
        raise MlflowException("Permission denied", error_code=PERMISSION_DENIED)
    assert "MLFLOW_TRACKING_USERNAME" in caught.value.remedy


def test_a_run_of_several_models_needs_a_name(register: Register, store: Store) -> None:
    run = register("one", LEVELS)
    store.client.create_registered_model("two")
    store.client.create_model_version("two", source="file:///nowhere", run_id=run)
    with pytest.raises(Exception, match="one, two"):
        find_model_version(store, run)
    assert find_model_version(store, run, "two").name == "two"
    assert champion_of(store, "two") is None
