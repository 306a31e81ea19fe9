"""A child may die, hang or eat memory; the caller gets a named error and goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from slicewise.errors import GeometryError
from slicewise.imaging.sandbox import GIBIBYTE, ChildDiedError, Sandbox, shared_sandbox

HERE = Path("scan.dcm")


def process_id() -> int:
    return os.getpid()


def die(signal_number: int) -> None:
    os.kill(os.getpid(), signal_number)


def allocate(size_bytes: int) -> int:
    return len(bytearray(size_bytes))


def complain() -> None:
    raise GeometryError(HERE, expected="a", found="b", remedy="c")


def shout() -> None:
    os.write(1, b"noise\n")
    os.write(2, b"noise\n")


def nested_process_id() -> int:
    return shared_sandbox().call(process_id, where=HERE)


def test_child_is_another_process_and_is_reused(sandbox: Sandbox) -> None:
    first = sandbox.call(process_id, where=HERE)
    assert first != os.getpid()
    assert sandbox.call(process_id, where=HERE) == first


@pytest.mark.parametrize("number", [signal.SIGFPE, signal.SIGSEGV, signal.SIGKILL])
def test_death_by_signal_is_an_error_that_names_it(sandbox: Sandbox, number: int) -> None:
    with pytest.raises(ChildDiedError) as caught:
        sandbox.call(die, number, where=HERE)
    assert caught.value.where == "scan.dcm"
    assert signal.Signals(number).name in caught.value.found
    assert sandbox.call(process_id, where=HERE) != os.getpid()


def test_memory_is_limited(sandbox: Sandbox) -> None:
    assert sandbox.call(allocate, GIBIBYTE // 2, where=HERE) == GIBIBYTE // 2
    with pytest.raises(ChildDiedError, match="more than 1 GiB"):
        sandbox.call(allocate, 2 * GIBIBYTE, where=HERE)


def test_time_is_limited(sandbox: Sandbox) -> None:
    sandbox.call(process_id, where=HERE)
    started = time.monotonic()
    with pytest.raises(ChildDiedError, match=r"no result after 0\.3 s"):
        sandbox.call(time.sleep, 30, where=HERE, timeout_seconds=0.3)
    assert time.monotonic() - started < 10


def test_named_errors_arrive_unchanged(sandbox: Sandbox) -> None:
    with pytest.raises(GeometryError) as caught:
        sandbox.call(complain, where="elsewhere")
    assert (caught.value.where, caught.value.found) == ("scan.dcm", "b")


def test_children_print_nothing(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    sandbox.call(shout, where=HERE)
    assert capfd.readouterr() == ("", "")


def test_a_closed_sandbox_starts_again() -> None:
    with Sandbox() as one:
        first = one.call(process_id, where=HERE)
        one.close()
        assert one.call(process_id, where=HERE) != first


@pytest.mark.parametrize("start_method", ["spawn", "forkserver"])
def test_works_inside_workers_of_other_pools(start_method: str) -> None:
    context = multiprocessing.get_context(start_method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        inner = pool.submit(nested_process_id).result(timeout=60)
        assert inner not in (os.getpid(), pool.submit(process_id).result(timeout=60))


def test_leaves_no_child_behind_when_its_process_ends(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from slicewise.imaging.sandbox import shared_sandbox\n"
        "if __name__ == '__main__':\n"
        "    print(shared_sandbox().call(os.getpid, where='here'), flush=True)\n"
    )
    run = partial(subprocess.run, capture_output=True, text=True, timeout=60, check=True)
    done = run(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)
