"""A limit of the processor time of work that must grow no faster than its input."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def linear_time(most_seconds: float = 5.0) -> Iterator[None]:
    """Fail a block that takes far longer than it does in linear time.

    Give it so much input that quadratic time would be minutes, and linear time a moment.
    """
    begun = time.process_time()
    yield
    taken = time.process_time() - begun
    assert taken < most_seconds, f"{taken:.1f} s of processor time"
