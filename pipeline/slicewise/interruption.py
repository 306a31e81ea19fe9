"""The answer to SIGINT, SIGTERM and SIGHUP: work stops within seconds, and its state is kept.

``interruptible`` is the one door. While it is open, a signal raises ``SignalReceived`` in the main
thread, wherever that is; files are written atomically, so that any place will do. What must not be
torn apart stands in ``uninterrupted``. A thread watches: it ends the process itself where the main
thread does not come to an end in time, for example in a long computation of another library, or
when a second signal asks for it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any, NoReturn

from slicewise.errors import GO_ON, InterruptedBySignal, SlicewiseError, Where

SECONDS_TO_END = 4.0
"""From the signal to the end; saving the state may take longer, ..."""
SECONDS_TO_SAVE = 30.0
"""... but not than this."""
_SECONDS_OF_ONE_REQUEST = 0.5
"""`timeout` and terminals send several signals at once, which are one request."""
_SECONDS_FOR_LAST_WORDS = 0.5
_SECONDS_BETWEEN_LOOKS = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalReceived(BaseException):
    """Passes through the work that a signal ends; no handler of ordinary errors takes it.

    Attributes:
        number: of the signal.
        where: what was interrupted, for the message at the end.
        remedy: how it goes on.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.where: Where = "slicewise"
        self.remedy = GO_ON

    def go_on_with(self, where: Where, remedy: str) -> None:
        """Say how it goes on, unless somebody who knows better has said it."""
        if self.remedy == GO_ON:
            self.where, self.remedy = where, remedy


@contextmanager
def interruptible() -> Iterator[None]:
    """Let signals end the work in this context; within another one it changes nothing.

    Python allows handlers in the main thread only; elsewhere signals keep their effect, and so do
    those that are ignored when the work begins, as under ``nohup``.

    Raises:
        InterruptedBySignal: one came.
    """
    global _door
    if _door is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _door = door = _Door()
    try:
        door.open()
        yield
    except BaseException as error:
        if door.number is None:
            raise
        door.say_last_words()
        raise _as_error(error, door.number) from error
    finally:
        door.shields += 1
        door.close()
        _door = None


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Finish what stands in this context first; a signal is answered at its end."""
    door = _door
    if door is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    door.shields += 1
    try:
        yield
    finally:
        door.shields -= 1
        door.shielded_at = time.monotonic()
        door.answer_deferred()


def is_interrupted() -> bool:
    """Whether a signal has ended the work, and what is going on is its end."""
    return _door is not None and _door.number is not None


def end_process(exit_code: int) -> NoReturn:
    """Exit without waiting for threads and children of libraries; everything has been said."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    _end_children()
    os._exit(exit_code)


def received_signal() -> int | None:
    """Number of the signal that ends the work; ``uninterrupted`` work may still go on."""
    return None if _door is None else _door.number


class LastWords:
    """Something to do if a signal ends the work before ``forget`` is called."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._door = _door
        self._action = action
        if self._door is not None:
            self._door.last_words.append(action)

    def forget(self) -> None:
        """It has been done, or is no longer needed."""
        if self._door is not None and self._action in self._door.last_words:
            self._door.last_words.remove(self._action)


class _Door:
    """The handlers and the watching thread of one context."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.shields = 0
        self.shielded_at = 0.0
        self.last_words: list[Callable[[], object]] = []
        self._former: dict[int, Any] = {}
        self._former_descriptor = -1
        self._main = threading.get_ident()
        # Python writes the number of each signal there at once, whatever the main thread does.
        self._reading, self._writing = os.pipe()
        self._raised: weakref.ref[SignalReceived] | None = None
        self._is_closed = False
        self._nudging = threading.Lock()
        self._nudges = 0
        self._watching = threading.Thread(target=self._watch, name="signals", daemon=True)

    def open(self) -> None:
        _be_forgotten_by_forks()
        os.set_blocking(self._writing, False)
        self._watching.start()
        self._former_descriptor = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):
                self._former[number] = signal.signal(number, self._answer)

    def leave(self) -> None:
        """Give the handlers back."""
        for number, handler in self._former.items():
            # Somebody else may have taken over.
            if signal.getsignal(number) == self._answer:
                signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_descriptor)

    def close(self) -> None:
        with self._nudging:
            self._is_closed = True
        self.leave()
        os.write(self._writing, b"\0")
        self._watching.join()
        os.close(self._writing)
        os.close(self._reading)

    def say_last_words(self) -> None:
        """Do what is left to be done; problems no longer count."""
        while self.last_words:
            with contextlib.suppress(Exception):
                self.last_words.pop()()

    def answer_deferred(self) -> None:
        """Raise what came while it was deferred."""
        if self.number is not None and self._raised is None and not self.shields:
            self._raise(self.number)

    def _answer(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.number is None:
            self.number = number
            if number == signal.SIGHUP:
                _leave_terminal()
        if self._is_to_be_raised:
            self._raise(self.number)

    @property
    def _is_to_be_raised(self) -> bool:
        """Not yet, or lost: exceptions in a destructor, for example, have no effect."""
        return not self.shields and (self._raised is None or self._raised() is None)

    def _raise(self, number: int) -> None:
        received = SignalReceived(number)
        self._raised = weakref.ref(received)
        try:
            raise received
        finally:
            # Its traceback refers to this frame: it would not be freed where it is lost.
            del received

    def _watch(self) -> None:
        first: tuple[int, float] | None = None
        while not self._is_closed:
            came = self._wait(None if first is None else _SECONDS_BETWEEN_LOOKS)
            now = time.monotonic()
            if first is None:
                first = (came[0], now) if came else None
                continue
            number, since = first
            is_repeated = bool(came) and now - since > _SECONDS_OF_ONE_REQUEST
            if is_repeated or self._is_overdue(now, since):
                self._end_now(number)
            self._nudge(number)

    def _nudge(self, number: int) -> None:
        """Send the signal again if it was lost, or if another thread took it."""
        with self._nudging:
            if self._is_to_be_raised and not self._is_closed:
                self._nudges += 1
                signal.pthread_kill(self._main, number)

    def _wait(self, seconds: float | None) -> list[int]:
        """Signals that have come, apart from our own nudges."""
        ready, _, _ = select.select([self._reading], [], [], seconds)
        came = [number for number in os.read(self._reading, 64) if number] if ready else []
        nudges = min(self._nudges, len(came))
        self._nudges -= nudges
        return [number for number in came[nudges:] if self._is_ours(number)]

    def _is_ours(self, number: int) -> bool:
        """A server, for example, has handlers of its own while it runs."""
        return signal.getsignal(number) == self._answer

    def _is_overdue(self, now: float, since: float) -> bool:
        is_saving = self.shields > 0 or now - self.shielded_at < 1.0
        return now - since > (SECONDS_TO_SAVE if is_saving else SECONDS_TO_END)

    def _end_now(self, number: int) -> None:
        # In a thread of its own: the main thread may hold a lock that is needed.
        words = threading.Thread(target=self.say_last_words, daemon=True)
        words.start()
        words.join(_SECONDS_FOR_LAST_WORDS)
        _end_children()
        with contextlib.suppress(OSError):
            text = f"\nended at once by {signal.Signals(number).name}; finished files are kept\n"
            os.write(2, text.encode())
        os._exit(128 + number)


_door: _Door | None = None


def _as_error(error: BaseException, number: int) -> InterruptedBySignal:
    if isinstance(error, SignalReceived):
        return InterruptedBySignal(number, error.where, error.remedy)
    if isinstance(error, SlicewiseError):
        return InterruptedBySignal(number, error.where, error.remedy, also=error.reason)
    # A closed terminal, for example, that the end of the work cannot be shown on.
    return InterruptedBySignal(number)


@cache
def _be_forgotten_by_forks() -> None:
    """A child that is forked ends as if there were no handler."""
    masks: list[set[int]] = []

    def hold() -> None:
        # Until the child has its own handlers: it would report to the parent's thread.
        masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)))

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop())

    def forget() -> None:
        global _door
        if _door is not None:
            _door.leave()
            _door = None
        release()

    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=forget)


def _leave_terminal() -> None:
    """Write to nowhere instead of a terminal that was closed, where every write is an error."""
    for stream in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)


def _end_children() -> None:
    import psutil

    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
