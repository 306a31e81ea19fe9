"""A toy task that a tiny network learns in seconds: bright discs on a noisy ground."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.cache_entry import CaseFacts
from slicewise.dataset.case_qc import CheckedCase
from slicewise.dataset.measurements import Measurements

MakeConfig = Callable[..., Config]
SPACING = (0.5, 0.75, 3.0)
STILL = {
    f"{name}_probability": 0.0
    for name in ("affine", "elastic", "intensity", "noise", "gamma", "bias_field")
}


@pytest.fixture(scope="session")
def make_config() -> MakeConfig:
    """A small configuration; sections are given as dictionaries and override it."""

    def make(**sections: Any) -> Config:
        values: dict[str, Any] = {
            "name": "toy",
            "seed": 5,
            "data": {"labels": {"disc": 1}},
            "preprocessing": {"foreground": "all", "clip_percentiles": (0, 100)},
            "network": {"features": (4, 8), "window": (16, 16), "context_slices": 1},
            "training": {
                "steps": 6,
                "batch_size": 6,
                "learning_rate": 0.1,
                "validations": 2,
                "ema_decay": 0.9,
                "precision": "float32",
                "device": "cpu",
            },
            "augmentation": STILL,
        }
        for name, value in sections.items():
            merges = isinstance(value, dict) and name in values
            values[name] = values[name] | value if merges else value
        return Config.model_validate(values)

    return make


def write_case(folder: Path, name: str, seed: int, classes: int = 1) -> CachedCase:
    """Seven slices of 20 x 18 pixels, one disc a class; they never overlap."""
    random = np.random.default_rng(seed)
    label = np.zeros((7, 20, 18), np.uint8)
    rows, columns = np.mgrid[:20, :18]
    for number in range(1, classes + 1):
        row = random.integers(4, 15)
        low, high = (4, 14) if classes == 1 else (7 * number - 3, 7 * number)
        column = random.integers(low, high)
        inside = (rows - row) ** 2 + (columns - column) ** 2 <= 9
        label[1:6, inside] = number
    image = label[:, None] * 2.0 - 0.5 + random.normal(0, 0.2, (7, 1, 20, 18))
    points = np.argwhere(label)
    folder.mkdir(parents=True)
    np.save(folder / "image.npy", image.astype(np.float16))
    np.save(folder / "label.npy", label)
    np.save(folder / "points.npy", np.column_stack([label[tuple(points.T)], points]))
    write_facts(folder, name)
    return CachedCase(name, f"patient-{name}", f"key-{name}", folder)


def write_facts(folder: Path, name: str, spacing_mm: tuple[float, float, float] = SPACING) -> None:
    """A scan of which nothing but its spacing matters."""
    measured = Measurements(spacing_mm, SPACING, {}, {}, (), SPACING, ())
    facts = CaseFacts(CheckedCase(name, name), measured)
    (folder / "facts.json").write_bytes(TypeAdapter(CaseFacts).dump_json(facts))


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Sequence[CachedCase]:
    """Four cases of the binary task."""
    root = tmp_path_factory.mktemp("cases")
    return tuple(write_case(root / name, name, seed) for seed, name in enumerate("abcd"))


@pytest.fixture(scope="session")
def two_class_cases(tmp_path_factory: pytest.TempPathFactory) -> Sequence[CachedCase]:
    """Three cases with two structures."""
    root = tmp_path_factory.mktemp("two_class_cases")
    return tuple(write_case(root / name, name, seed, 2) for seed, name in enumerate("abc"))
