"""Scans on disk in, measured time, memory and disk out; figures that can be counted are."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from slicewise.config import Config, parse_config
from slicewise.dataset.catalogue import Catalogue
from slicewise.dataset.layouts import read_catalogue
from slicewise.errors import DataError
from slicewise.planning.case_fingerprint import measure_cases
from slicewise.planning.cohort_fingerprint import assemble_fingerprint
from slicewise.planning.estimate import estimate
from slicewise.planning.fingerprint import CaseFingerprint, Fingerprint
from slicewise.planning.peak_memory import peak_memory
from slicewise.planning.sample import Sample, median_sized_cases, prepare_sample
from slicewise.planning.step_timing import StepTiming

Make = Callable[..., CaseFingerprint]
Join = Callable[..., Fingerprint]
TEXT = """
name: trial
data: {{root: {root}, labels: {{core: 1}}, fold_count: 2}}
preprocessing: {{plane: {plane}, foreground: all}}
network: {{features: [4, 8], window: [16, 16], context_slices: 0}}
training: {{budget_minutes: 1, batch_size: 4, validations: 2}}
inference: {{batch_size: 8}}
"""
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, write_case: Callable[..., None]) -> Path:
    """Three scans of 18 x 14 x 12 voxels, and one of twice as many slices."""
    folder = tmp_path_factory.mktemp("set")
    for number, depth in enumerate((12, 12, 12, 24)):
        random = np.random.default_rng(number)
        label = np.zeros((18, 14, depth), dtype=np.uint8)
        label[4:10, 3:8, 2:9] = 1
        voxels = (random.normal(100, 9, label.shape) + 50 * label).astype(np.float32)
        write_case(folder, f"c{number}", voxels, label, (1.0, 1.0, 1.0))
    return folder


def prepared(root: Path, folder: Path, plane: str) -> tuple[Catalogue, Fingerprint, Config, Sample]:
    config = parse_config(TEXT.format(root=root, plane=plane), "trial")
    catalogue = read_catalogue(config.data)
    measured = list(measure_cases(catalogue, config, 2))
    fingerprint = assemble_fingerprint(measured, config, {}, catalogue)
    return catalogue, fingerprint, config, prepare_sample(
        catalogue, fingerprint, config, folder, 2
    )  # fmt: skip


@pytest.mark.parametrize(("plane", "views", "slices"), [("axial", 1, 60), ("all", 3, 188)])
def test_estimate(root: Path, tmp_path: Path, plane: str, views: int, slices: int) -> None:
    _, fingerprint, config, sample = prepared(root, tmp_path, plane)
    found = estimate(fingerprint, config, sample)
    # One of two folds learns from half; all views are 4 x (18 + 14) + 60 = 188 slices.
    assert found.views == views
    assert found.slices == pytest.approx(slices / views / 2)
    assert 0 < found.step_seconds < 60
    assert found.steps == int((60 - 2 * found.validation_seconds) / found.step_seconds)
    assert found.minutes <= 1
    assert found.prediction_seconds > 0
    assert found.memory_gb > 0.05
    # float16 and uint8 a voxel, and points of labelled ones; 18 x 14 x 60 voxels in all.
    assert 3 * 15120 < found.disk_gb * 1e9 < 40 * 15120
    assert found.config.training.precision != "auto"


def test_the_cases_next_to_the_median_are_chosen(case: Make, data_set: Join) -> None:
    sizes = (30, 33, 36, 39, 42, 45, 400)
    cases = [case(f"c{size}", shape=(40, 50, size)) for size in sizes]
    empty = case("empty", shape=(40, 50, 39), structures={})
    chosen = [one.name for one in median_sized_cases(data_set(*cases, empty))]
    # The median of eight is 39 slices; the giant and the empty one come last.
    assert chosen[0] == "c39"
    assert set(chosen) == {"c36", "c39", "c42", "c33"} or set(chosen) == {
        "c36", "c39", "c42", "c45",
    }  # fmt: skip


def test_cases_that_cannot_be_cut_as_planned(root: Path, tmp_path: Path) -> None:
    catalogue, fingerprint, config, _ = prepared(root, tmp_path, "axial")
    wrong = config.model_copy(
        update={"data": config.data.model_copy(update={"labels": {"other": 3}})}
    )
    with pytest.raises(DataError, match="can be preprocessed as planned"):
        prepare_sample(catalogue, fingerprint, wrong, tmp_path / "again", 2)


def test_the_fastest_call_counts_and_warm_ones_do_not() -> None:
    durations = iter([0.0, 0.05, 0.02, 0.05])
    timing = StepTiming(CPU, is_busy=False)
    fastest = timing.fastest(
        lambda: time.sleep(next(durations)), warm_up=1, max_calls=4, limit_seconds=60
    )
    assert 0.02 <= fastest < 0.05


def test_on_a_busy_machine_only_what_is_computed_counts() -> None:
    threads = torch.get_num_threads()
    timing = StepTiming(CPU, is_busy=True)
    seen = []

    def work() -> None:
        seen.append(torch.get_num_threads())
        time.sleep(0.2)

    # Waiting for others is no work.
    assert timing.seconds(work) < 0.15
    assert seen == [1]
    assert torch.get_num_threads() == threads


def test_memory_of_the_block_is_seen() -> None:
    with peak_memory(CPU) as before:
        pass
    with peak_memory(CPU) as held:
        block = np.ones(40_000_000)
    assert held.peak_gb > before.peak_gb + 0.2
    assert len(block) == 40_000_000
