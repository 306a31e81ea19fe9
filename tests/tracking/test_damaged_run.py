"""Every file of a run, damaged in every way: an error that names it, or what was there before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.phantom_run import CONFIG, LABELS, write_run

from slicewise.config import Config, InferenceSection, parse_config
from slicewise.errors import DataError
from slicewise.evaluation.inference_tuning.evidence import (
    CaseEvidence,
    MaskEvidence,
    StructureEvidence,
    write_evidence,
)
from slicewise.evaluation.inference_tuning.inference_file import read_inference, write_inference
from slicewise.evaluation.inference_tuning.options import TEMPERATURES
from slicewise.evaluation.results import read_results, write_run_config
from slicewise.imaging.own_files import CHECKSUMS, EDITED
from slicewise.tracking.run_folder import RunFolder

RUN_ID = "0123456789abcdef0123456789abcdef"
DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "empty": lambda _: b"",
    "first half": lambda content: content[: len(content) // 2],
    "last line lost": lambda content: b"".join(content.splitlines(keepends=True)[:-1]),
    "last bytes lost": lambda content: content[:-3],
    "one bit flipped": lambda content: _flipped(content),
    "any bytes": lambda _: bytes(range(256)),
    "an empty list": lambda _: b"[]\n",
    "an empty object": lambda _: b"{}\n",
    "null": lambda _: b"null\n",
    "Latin-1": lambda content: content + b"caf\xe9\n",
    "nested 100,000 deep": lambda _: b"[" * 100_000,
    "a folder": lambda _: None,
}
FILES = (
    *("config.yaml", "results.json", "scores.csv", "losses.csv", "history.jsonl"),
    *("evidence.jsonl", "inference.yaml", "run.json", "initial.json", "model.json"),
    CHECKSUMS,
)


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.fixture(scope="module")
def config() -> Config:
    return parse_config(CONFIG, "test")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Path:
    """A finished run with every file that one can have."""
    folder = tmp_path_factory.mktemp("finished")
    run = RunFolder(folder / "run")
    write_run(run.path, folder / "data")
    shutil.rmtree(run.masks)
    write_run_config(config, run.config)
    (run.path / "history.jsonl").write_text('{"step": 20, "mean": 0.5}\n{"step": 40, "mean": 1}\n')
    curve = (0.5,) * len(TEMPERATURES)
    structures = {name: StructureEvidence(MaskEvidence(0.5, curve), {}) for name in LABELS}
    write_evidence(run.path, [CaseEvidence("case0", "p", 0, curve, structures, {})])
    write_inference(InferenceSection(temperature=2), run.inference)
    run.write_run_id(RUN_ID)
    run.write_initial({"initial": "tiny, fold 0, step 4", "initial_sha256": "00"})
    run.finish(config, {"run": RUN_ID, "registered": "models:/tiny/1"})
    return run.path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> RunFolder:
    """A copy, to be damaged."""
    shutil.copytree(finished, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def _content(run: RunFolder, config: Config) -> tuple[object, ...]:
    """What the files of a run say, without the folder that it lies in."""
    (results,) = run.results()
    return (
        results.facts, results.config, repr(results.scores), results.losses, results.validations,
        run.run_id(), run.initial_facts(), run.registered(), run.finished_facts(),
        run.read_evidence(LABELS), read_inference(run.inference, config), run.read_config(),
    )  # fmt: skip


@pytest.mark.fault(119, "E")
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_damaged_file(run: RunFolder, config: Config, name: str, damage: str) -> None:
    path = run.path / name
    content = DAMAGES[damage](path.read_bytes())
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        _content(run, config)
    # A damaged list of checksums may make another file look changed, and is named then as well.
    assert name in str(caught.value)
    assert "Error" not in str(caught.value)


@pytest.mark.fault(119, "E")
@pytest.mark.parametrize("name", FILES)
def test_lost_file(run: RunFolder, config: Config, name: str) -> None:
    (run.path / name).unlink()
    with pytest.raises(DataError, match=name):
        _content(run, config)


def test_intact_run(run: RunFolder, finished: Path, config: Config) -> None:
    assert _content(run, config) == _content(RunFolder(finished), config)


@pytest.mark.parametrize(
    ("name", "old", "new", "line"),
    [
        ("history.jsonl", '"mean": 1}\n', '"mean":', 2),
        ("history.jsonl", '"mean": 1}', '"mean": "one"}', 2),
        ("losses.csv", "\n2,0.5", "\n2", 3),
        ("scores.csv", "detected", "perhaps", 2),
        ("results.json", '"fold": 0', '"fold": 0.5', None),
        ("results.json", '"date"', "date", 16),
        ("run.json", '"run_id": "', '"run_id": "../', None),
    ],
)
def test_the_line_is_named(
    run: RunFolder, config: Config, name: str, old: str, new: str, line: int | None
) -> None:
    # An unfinished run has no checksums yet: its files must make sense by themselves.
    run.reopen()
    path = run.path / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        _content(run, config)
    assert caught.value.where == (str(path) if line is None else f"{path}:{line}")


@pytest.mark.fault(102, "E")
@pytest.mark.parametrize("name", ["inference.yaml", "config.yaml"])
def test_a_line_lost_from_a_configuration(run: RunFolder, config: Config, name: str) -> None:
    path = run.path / name
    lines = path.read_text().splitlines(keepends=True)
    for end in range(1, len(lines)):
        path.write_text("".join(lines[:end]))
        with pytest.raises(DataError, match="checksum") as caught:
            _content(run, config)
        assert caught.value.where == str(path)


@pytest.mark.fault(102, "W")
def test_edited_on_purpose(run: RunFolder, config: Config) -> None:
    text = run.inference.read_text().replace("temperature: 2.0", "temperature: 3.0")
    run.inference.write_text(f"{text}{EDITED}\n")
    assert read_inference(run.inference, config).temperature == 3
    text = run.config.read_text().replace("seed: 0", "seed: 5")
    run.config.write_text(f"{text}\n{EDITED}")
    (results,) = read_results(run.path)
    assert results.config.seed == 5
    assert results.is_edited


def test_a_checkpoint_elsewhere(run: RunFolder) -> None:
    (run.path / "model.json").write_text('{"checkpoint": "../../elsewhere.pt"}')
    run.seal_again()
    with pytest.raises(DataError, match=r"elsewhere\.pt"):
        run.finished_facts()
