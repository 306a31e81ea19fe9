"""A child process that calls functions, one at a time.

Each has a pipe of its own: processes that share one share its lock, and one that is killed while it
holds the lock blocks the others for ever.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import current_process, parent_process
from typing import Any, NoReturn

_GRACE_SECONDS = 2.0
"""For a child that is asked to end; then it is killed."""
_POLL_SECONDS = 0.1

_processes = threading.RLock()
"""multiprocessing asks for the exit codes of all children when it starts another, and of two
threads that ask at once only one gets it."""


@dataclass(frozen=True)
class Message:
    """What a function in a child process tells before it returns."""

    content: Any


class ChildEndedError(Exception):
    """A child process ended before it returned a result; the message is a verb phrase."""


class ChildGivenUpError(ChildEndedError):
    """A child process was killed because its result was no longer waited for."""


class Child:
    """A running child process.

    Its first answer, which is None, tells that it is ready.

    Args:
        context: starts the process.
        prepare: module-level function that the child calls first.
        arguments: of ``prepare``.

    Raises:
        OSError: the process cannot be started.
    """

    def __init__(
        self,
        context: ForkServerContext | SpawnContext,
        prepare: Callable[..., None],
        *arguments: object,
    ) -> None:
        self.connection, theirs = context.Pipe()
        # Not a daemon, which could not have children of its own.
        self._process = context.Process(target=_serve, args=(theirs, prepare, arguments))
        self.is_idle = False
        try:
            with _processes, _permitted_children():
                self._process.start()
        except BaseException:
            self.connection.close()
            raise
        finally:
            theirs.close()

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        with _processes:
            return self._process.is_alive()

    def send(self, function: Callable[..., Any], *arguments: object) -> None:
        """Let the child, which is idle, call a module-level function."""
        self.is_idle = False
        # By itself, torch sends each tensor by a file descriptor, of which there are few.
        request = pickle.dumps((function, arguments))
        # ``receive`` tells that the child has ended.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send_bytes(request)

    def receive(self, give_up: Callable[[], bool] | None = None) -> Any:
        """Wait for the result of the function.

        Args:
            give_up: asked several times a second; when it says so, the child is killed.

        Raises:
            ChildEndedError: there will be no result.
            Exception: raised by the function.
        """
        try:
            while give_up is not None and not self.connection.poll(_POLL_SECONDS):
                if give_up():
                    self.kill()
                    raise ChildGivenUpError("was ended")
        except (EOFError, OSError) as ended:
            raise self._ended() from ended
        result = self.receive_next()
        assert not isinstance(result, Message), "functions with messages need receive_next"
        return result

    def receive_next(self) -> Any:
        """Wait for the next ``Message`` of the function, or for its result.

        Raises:
            ChildEndedError: there will be no result.
            Exception: raised by the function.
        """
        try:
            received = self.connection.recv()
        except (EOFError, OSError) as ended:
            raise self._ended() from ended
        if isinstance(received, Message):
            return received
        result, error, where = received
        self.is_idle = True
        if error is not None:
            raise error from _ChildTraceback(where)
        return result

    def terminate(self) -> None:
        """Send SIGTERM: a function that is ``interruptible`` ends and answers."""
        self._process.terminate()

    def _ended(self) -> ChildEndedError:
        return ChildEndedError(_how_it_ended(self._exit_code(_GRACE_SECONDS)))

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._exit_code(_GRACE_SECONDS)

    def _exit_code(self, seconds: float) -> int | None:
        """Of the process; None if it does not end within that time."""
        end = time.monotonic() + seconds
        wait([self._process.sentinel], seconds)
        while True:
            with _processes:
                code = self._process.exitcode
            # The pipes of a process are closed a moment before it has ended.
            if code is not None or time.monotonic() > end:
                return code
            time.sleep(0.001)


def stop_children(children: Iterable[Child]) -> None:
    """Let all end at the same time, which may take them a moment; then they are killed."""
    children = tuple(children)
    for child in children:
        child.terminate()
    end = time.monotonic() + _GRACE_SECONDS
    for child in children:
        if child._exit_code(max(0.0, end - time.monotonic())) is None:
            child.kill()


@contextmanager
def _permitted_children() -> Iterator[None]:
    """Let a daemon have children, such as a worker of Dask.

    multiprocessing does not, because daemons are killed; these children end with their pipe.
    """
    settings: dict[str, Any] = current_process()._config  # type: ignore[attr-defined]
    is_daemon = settings.pop("daemon", False)
    try:
        yield
    finally:
        settings["daemon"] = is_daemon


def tell(content: object) -> None:
    """Send a message to the parent, from within a function that it has called."""
    assert _parent is not None, "not in a child process"
    # Where nobody listens any more, ``end_with_parent`` decides what becomes of the work.
    with _telling, suppress(OSError):
        _parent.send(Message(content))


def end_with_parent() -> None:
    """Let this child process get SIGTERM when its parent ends, whatever it is doing then.

    Without this, it notices when it answers.
    """
    parent = parent_process()
    assert parent is not None

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


_parent: Connection | None = None
_telling = threading.Lock()


class _ChildTraceback(Exception):
    """Where a child process raised an error, as text."""


def _serve(
    connection: Connection, prepare: Callable[..., None], arguments: tuple[object, ...]
) -> None:
    global _parent
    _parent = connection
    # Ctrl-C reaches all processes of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, _end)
    # Without a parent there is nothing more to do.
    with suppress(EOFError, OSError):
        _answer(connection, prepare, *arguments)
        while True:
            # What cannot be unpickled is an error of this call.
            _answer(connection, _call, connection.recv_bytes())


def _call(request: bytes) -> Any:
    function, arguments = pickle.loads(request)
    return function(*arguments)


def _answer(connection: Connection, function: Callable[..., Any], *arguments: object) -> None:
    try:
        answer = pickle.dumps((function(*arguments), None, ""))
    except Exception as error:
        answer = pickle.dumps((None, error, traceback.format_exc()))
    with _telling:
        connection.send_bytes(answer)


def _end(*_: object) -> NoReturn:
    # This process now ends its own children, and is not to be interrupted.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit


def _how_it_ended(exit_code: int | None) -> str:
    """Verb phrase for the exit code of a process: its status, or the signal that ended it."""
    if exit_code is None:
        return "no longer answers"
    if exit_code >= 0:
        return f"ended with status {exit_code}"
    if -exit_code == signal.SIGKILL:
        return "the system ended (SIGKILL), perhaps because memory ran out"
    names = {item.value: item.name for item in signal.Signals}
    return f"died of {names.get(-exit_code, f'signal {-exit_code}')}"
