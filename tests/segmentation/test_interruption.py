"""Signals are remembered while the watch is open, and obeyed as before afterwards."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from slicewise.segmentation.interruption import SignalWatch

NUMBERS = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture(autouse=True)
def obeyed() -> Iterator[list[int]]:
    """What reaches the handlers that were there before."""
    reached: list[int] = []
    former = {
        number: signal.signal(number, lambda number, _: reached.append(number))
        for number in NUMBERS
    }
    yield reached
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_remembered_then_obeyed_again(number: signal.Signals, obeyed: list[int]) -> None:
    with SignalWatch() as watch:
        assert watch.received is None
        signal.raise_signal(number)
        assert watch.received == number
    assert obeyed == []
    signal.raise_signal(number)
    assert obeyed == [number]


def test_asked_twice_ends_at_once() -> None:
    with SignalWatch() as watch:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert watch.received == signal.SIGTERM


def fail_under_watch() -> None:
    with SignalWatch():
        raise RuntimeError


def test_handlers_come_back_after_an_error(obeyed: list[int]) -> None:
    with pytest.raises(RuntimeError):
        fail_under_watch()
    signal.raise_signal(signal.SIGTERM)
    assert obeyed == [signal.SIGTERM]


def test_in_another_thread_signals_keep_their_effect(obeyed: list[int]) -> None:
    opened, done = threading.Event(), threading.Event()
    received: list[int | None] = []

    def work() -> None:
        with SignalWatch() as watch:
            opened.set()
            done.wait(10)
            received.append(watch.received)

    thread = threading.Thread(target=work)
    thread.start()
    assert opened.wait(10)
    signal.raise_signal(signal.SIGTERM)
    done.set()
    thread.join()
    assert obeyed == [signal.SIGTERM]
    assert received == [None]
