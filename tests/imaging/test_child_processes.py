"""Children of a plain script do their work and do not run the script again."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import slicewise
from slicewise.imaging.child_processes import pool
from slicewise.imaging.child_processes.pool import ChildPool
from slicewise.imaging.child_processes.starting import SpawnedChildren


def test_nothing_waits_when_a_pool_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage is collected at any moment, also while another process starts."""
    children = ChildPool(SpawnedChildren(), gc.enable)
    with children.lend() as child:
        child.send(os.getpid)
        process = psutil.Process(child.receive())
    monkeypatch.setattr(pool, "stop_children", lambda _: pytest.fail("it waits"))
    del child, children
    gc.collect()
    process.wait(10)


def test_tensors_need_no_file_descriptors() -> None:
    resource = pytest.importorskip("resource")
    torch = pytest.importorskip("torch")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    tensors = [torch.zeros(2) for _ in range(200)]
    opened = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    with ChildPool(SpawnedChildren(), gc.enable).lend() as child:
        resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 20, hard))
        try:
            child.send(len, tensors)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert child.receive() == 200


SCRIPT = """
import sys
from slicewise.dataset.workers import run_on_scans
from slicewise.imaging.files import sha256_of
from slicewise.imaging.sandbox import Sandbox
from pathlib import Path

print("the script runs")
path = Path(sys.argv[1])
with Sandbox() as sandbox:
    print("sandbox", sandbox.call(sha256_of, path, where=path)[:8])
for item, digest in run_on_scans(sha256_of, [path], 2):
    print("workers", digest[:8])
"""


INTERRUPTED = """
import signal
from slicewise.imaging.child_processes.starting import ForkedChildren, SpawnedChildren

for context in (ForkedChildren(), SpawnedChildren()):
    child = context.Process(target=signal.raise_signal, args=(signal.SIGINT,))
    child.start()
    child.join()
    print(child.exitcode)
"""


@pytest.mark.fault(107, "E")
def test_ctrl_c_does_not_disturb_a_child_that_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=True, timeout=120
    )
    assert (done.stdout.split(), done.stderr) == (["0", "0"], "")


def test_a_script_without_a_guard_runs_once(tmp_path: Path) -> None:
    script, data = tmp_path / "analysis.py", tmp_path / "data.txt"
    script.write_text(SCRIPT)
    data.write_text("voxels")
    done = subprocess.run(
        [sys.executable, script, data],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(slicewise.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    first, *rest = done.stdout.splitlines()
    assert first == "the script runs"
    assert [line.split()[0] for line in rest] == ["sandbox", "workers"]
    assert len({line.split()[1] for line in rest}) == 1
