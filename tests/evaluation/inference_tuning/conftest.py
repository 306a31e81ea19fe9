"""Evidence whose best choices are known by construction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from slicewise.evaluation.inference_tuning.evidence import (
    CaseEvidence,
    MaskEvidence,
    StructureEvidence,
)
from slicewise.evaluation.inference_tuning.options import NEUTRAL, TEMPERATURES

MakeCase = Callable[..., CaseEvidence]
MakeCases = Callable[..., list[CaseEvidence]]


def mask(dice: float | None, estimated_dice: float = 0.8) -> MaskEvidence:
    """The same estimate at every temperature."""
    return MaskEvidence(dice, (estimated_dice,) * len(TEMPERATURES))


@pytest.fixture
def make_case() -> MakeCase:
    """One case with the structure ``core``; of the least nll at the temperature of ``best``."""

    def make(number: int, dice: float | None = 0.8, **others: Any) -> CaseEvidence:
        changed = {name: mask(value) for name, value in others.get("changed", {}).items()}
        place = others.get("best", NEUTRAL)
        nll = tuple(0.1 + 0.01 * abs(i - place) for i in range(len(TEMPERATURES)))
        core = StructureEvidence(mask(dice, others.get("estimated_dice", 0.8)), changed)
        return CaseEvidence(
            case=f"case{number}",
            patient=others.get("patient", f"case{number}"),
            fold=number % 4,
            nll=others.get("nll", nll),
            structures={"core": core},
            mirrored=others.get("mirrored", {}),
        )

    return make


@pytest.fixture
def make_cases(make_case: MakeCase) -> MakeCases:
    """A case for each gain of an option of post-processing."""

    def make(option: str, gains: Sequence[float], **others: Any) -> list[CaseEvidence]:
        random = np.random.default_rng(0)
        plain = random.uniform(0.6, 0.9, len(gains))
        return [
            make_case(number, dice, changed={option: dice + gain}, **others)
            for number, (dice, gain) in enumerate(zip(plain, gains, strict=True))
        ]

    return make
