"""Devices and number formats: what is asked for, or an error that says what there is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from slicewise.config import TrainingSection
from slicewise.errors import UsageError
from slicewise.segmentation.device import (
    autocast,
    choose_device,
    in_memory_format,
    memory_format_of,
    resolve_precision,
)

CPU = torch.device("cpu")


def section(**values: object) -> TrainingSection:
    return TrainingSection.model_validate({"steps": 1} | values)


def test_cpu_is_cpu() -> None:
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize(("available", "expected"), [(False, "cpu"), (True, "cuda")])
def test_auto_takes_what_is_there(
    monkeypatch: pytest.MonkeyPatch, available: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert choose_device("auto").type == expected


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"training\.device=cpu") as caught:
        choose_device("cuda")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "float32"])
def test_a_named_precision_stays(precision: str) -> None:
    assert resolve_precision(section(precision=precision), CPU) == precision


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True}, "float32"),
        ({"avx2": True, "avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"amx_bf16": False, "bf16": False}, "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_computes_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve_precision(section(precision="auto"), CPU) == expected


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "float32"])
def test_autocast_computes_in_the_named_format(precision: str) -> None:
    with autocast(precision, CPU):
        assert nn.Conv2d(1, 1, 3)(torch.ones(1, 1, 4, 4)).dtype == getattr(torch, precision)


@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_format(channels_last: bool) -> None:
    chosen = section(channels_last=channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert memory_format_of(chosen) is layout
    network = in_memory_format(nn.Conv2d(3, 5, 3), chosen)
    assert network.weight.is_contiguous(memory_format=layout)
