"""A training that does not fit into memory ends with what to lower."""

from __future__ import annotations

import pytest

from slicewise.config import Config
from slicewise.errors import CheckpointError, TrainingError
from slicewise.segmentation.memory import memory_for_training

FAILURES = [
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 34 bytes"),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
]


@pytest.mark.fault(109, "E")
@pytest.mark.parametrize("failure", FAILURES, ids=["plain", "CPU", "GPU"])
def test_what_does_not_fit_is_named(failure: Exception) -> None:
    raising = pytest.raises(TrainingError, match="windows of")
    with raising as caught, memory_for_training(Config.defaults("a")):
        raise failure
    assert caught.value.where == "training.batch_size, network.window"
    assert ("GPU" in caught.value.found) == ("CUDA" in str(failure))


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes"), CheckpointError("a", expected="b", found="c", remedy="d")]
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, memory_for_training(Config.defaults("a")):
        raise error
    assert caught.value is error
