"""Signals end the work within seconds; what must not be torn apart is finished first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slicewise.errors import InterruptedBySignal, OutputError
from slicewise.interruption import (
    LastWords,
    SignalReceived,
    interruptible,
    is_interrupted,
    uninterrupted,
)

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


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


def work(action: Callable[[], object]) -> None:
    with interruptible():
        action()


def terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


@pytest.mark.fault(108, "E")
@pytest.mark.parametrize("number", NUMBERS)
def test_ends_with_the_code_of_shells_and_is_obeyed_again(
    number: signal.Signals, obeyed: list[int]
) -> None:
    with pytest.raises(InterruptedBySignal, match=number.name) as caught:
        work(lambda: signal.raise_signal(number))
    assert caught.value.exit_code == 128 + number
    assert "give the command again" in caught.value.remedy
    assert obeyed == []
    signal.raise_signal(number)
    assert obeyed == [number]
    assert not is_interrupted()


@pytest.mark.fault(108, "E")
@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_ignored_stays_ignored(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)  # nohup
    work(lambda: signal.raise_signal(number))
    assert signal.getsignal(number) is signal.SIG_IGN


def test_handlers_of_ordinary_errors_do_not_take_it() -> None:
    def careless() -> None:
        try:
            terminate()
        except Exception:
            pytest.fail("taken")

    with pytest.raises(InterruptedBySignal):
        work(careless)


def test_whoever_has_state_says_where_it_is() -> None:
    def saves() -> None:
        try:
            terminate()
        except SignalReceived as received:
            received.go_on_with(Path("last.pt"), "`resume`")
            received.go_on_with("folder", "somehow")
            raise

    with pytest.raises(InterruptedBySignal) as caught:
        work(saves)
    assert (caught.value.where, caught.value.remedy) == ("last.pt", "`resume`")


def test_what_must_not_be_torn_apart_is_finished() -> None:
    done = []

    def two_parts() -> None:
        with uninterrupted():
            with uninterrupted():
                terminate()
                done.append("first")
            assert is_interrupted()
            done.append("second")
        done.append("never")

    with pytest.raises(InterruptedBySignal):
        work(two_parts)
    assert done == ["first", "second"]


def test_within_another_one_it_changes_nothing() -> None:
    done = []

    def inner() -> None:
        try:
            work(terminate)
        finally:
            done.append("the outer one answers")
        done.append("never")

    with pytest.raises(InterruptedBySignal):
        work(inner)
    assert done == ["the outer one answers"]


def fail() -> None:
    raise OutputError("last.pt", expected="room", found="a full disk", remedy="free 3 MB")


def test_a_problem_at_the_end_is_told_as_well() -> None:
    def cannot_save() -> None:
        try:
            terminate()
        finally:
            fail()

    with pytest.raises(InterruptedBySignal, match=r"SIGTERM; at the end .*a full disk") as caught:
        work(cannot_save)
    assert caught.value.remedy == "free 3 MB"
    assert caught.value.exit_code == 143


def test_a_terminal_that_is_gone_changes_no_exit_code() -> None:
    def cannot_show() -> None:
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            os.write(-1, b"bye")

    with pytest.raises(InterruptedBySignal) as caught:
        work(cannot_show)
    assert caught.value.exit_code == 129


def test_other_errors_pass() -> None:
    with pytest.raises(OutputError):
        work(fail)
    with pytest.raises(SystemExit):
        work(sys.exit)


def test_a_signal_that_was_lost_comes_again() -> None:
    class Fragile:
        pass

    def lose() -> None:
        fragile = Fragile()
        weakref.finalize(fragile, terminate)
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        excepthook, sys.excepthook = sys.excepthook, lambda *_: None
        try:
            del fragile
        finally:
            sys.unraisablehook, sys.excepthook = hook, excepthook
        time.sleep(5)

    begun = time.monotonic()
    with pytest.raises(InterruptedBySignal):
        work(lose)
    assert time.monotonic() - begun < 2


def test_last_words_are_said_once_unless_they_were_forgotten() -> None:
    said: list[str] = []

    def speak() -> None:
        LastWords(lambda: said.append("run"))
        LastWords(lambda: said.append("done")).forget()
        LastWords(fail)
        terminate()

    with pytest.raises(InterruptedBySignal):
        work(speak)
    assert said == ["run"]
    work(lambda: LastWords(lambda: said.append("fine")))
    assert said == ["run"]


def test_in_another_thread_signals_keep_their_effect(obeyed: list[int]) -> None:
    thread = threading.Thread(target=lambda: work(lambda: os.kill(os.getpid(), signal.SIGTERM)))
    thread.start()
    thread.join()
    assert obeyed == [signal.SIGTERM]


class TestProcesses:
    """What only shows from outside."""

    def run(self, code: str, *signals: int, pause: float = 0.6) -> tuple[int, str, float]:
        """Exit status and output of some code that says "ready", and seconds from the first."""
        start = "from slicewise.interruption import *; import ctypes, os, time\n"
        with subprocess.Popen(
            [sys.executable, "-c", start + code],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.1)  # until the code is where it says
            begun = time.monotonic()
            for number in signals:
                process.send_signal(number)
                time.sleep(pause if number != signals[-1] else 0)
            # With a time limit, `communicate` would lose what was read together with "ready".
            said = process.stdout.read()
            return process.wait(20), said, time.monotonic() - begun

    @pytest.mark.fault(107, "E")
    def test_a_computation_that_hears_nothing_is_ended(self) -> None:
        code = (
            "import hashlib, slicewise.interruption as module\n"
            "module.SECONDS_TO_END = 0.3\n"
            "with interruptible():\n"
            "    words = LastWords(lambda: os.write(1, b'last words'))\n"
            "    print('ready', flush=True)\n"
            "    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"
        )
        status, said, seconds = self.run(code, signal.SIGTERM)
        assert status == 143
        assert "last words" in said
        assert "SIGTERM" in said
        assert seconds < 3

    @pytest.mark.fault(107, "E")
    def test_the_second_signal_ends_at_once(self) -> None:
        code = (
            "import subprocess, sys\n"
            "with interruptible():\n"
            "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
            "    try:\n"
            "        print('ready', flush=True)\n"
            "        time.sleep(20)\n"
            "    finally:\n"
            "        print(child.pid, flush=True)\n"
            "        time.sleep(20)\n"
        )
        status, said, seconds = self.run(code, signal.SIGINT, signal.SIGTERM)
        assert status == 130
        assert seconds < 3
        child = Path("/proc") / said.split()[0] / "cmdline"
        assert not child.is_file() or not child.read_bytes()

    def test_two_signals_of_one_request_are_one(self) -> None:
        code = (
            "try:\n"
            "    with interruptible():\n"
            "        try:\n"
            "            print('ready', flush=True)\n"
            "            time.sleep(20)\n"
            "        finally:\n"
            "            time.sleep(0.8)\n"
            "            print('saved', flush=True)\n"
            "except Exception as error:\n"
            "    raise SystemExit(error.exit_code)\n"
        )
        status, said, _ = self.run(code, signal.SIGTERM, signal.SIGHUP, pause=0.05)
        assert (status, said) == (143, "saved\n")

    def test_a_forked_child_dies_of_its_signals(self) -> None:
        code = (
            "import signal\n"
            "with interruptible():\n"
            "    if not (child := os.fork()):\n"
            "        time.sleep(20)\n"
            "        os._exit(0)\n"
            "    os.kill(child, signal.SIGTERM)\n"
            "    print('ready', flush=True)\n"
            "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
            "    time.sleep(0.3)\n"
        )
        status, said, _ = self.run(code)
        assert (status, said) == (0, "-15\n")
