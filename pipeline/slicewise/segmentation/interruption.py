"""Defers SIGTERM and SIGINT to the end of a training step, so that the state can be saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class SignalWatch:
    """Context in which SIGTERM and SIGINT are recorded and do not end the process.

    Attributes:
        received: number of the signal that arrived, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python allows handlers in the main thread only; elsewhere signals keep their effect.
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._former[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received is not None:
            # Asked twice: whoever asks does not want to wait for the end of the step.
            raise KeyboardInterrupt
        self.received = number
