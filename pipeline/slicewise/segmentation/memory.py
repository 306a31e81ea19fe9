"""Memory of a training: what does not fit is an error that names what to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from slicewise.config import Config
from slicewise.errors import SlicewiseError, TrainingError
from slicewise.imaging.memory import (
    free_memory_bytes,
    is_out_of_memory,
    limited_memory,
    shortage,
)


@contextmanager
def memory_for_training(config: Config) -> Iterator[None]:
    """Limit a training to the memory that is free now.

    Args:
        config: names the sizes in the error.

    Raises:
        TrainingError: it does not fit.
    """
    free_bytes = free_memory_bytes()
    try:
        with limited_memory(free_bytes):
            yield
    except Exception as error:
        if isinstance(error, SlicewiseError) or not is_out_of_memory(error):
            raise
        height, width = config.network.window
        raise TrainingError(
            "training.batch_size, network.window",
            expected="batches that fit into memory",
            found=f"{config.training.batch_size} windows of {height} x {width}, which need "
            f"{shortage(error, free_bytes)}",
            remedy="lower one of the two, or close other programs; checkpoints are intact",
        ) from error
