"""Measures the processor time that each stage costs a scan, by the difference of two numbers.

    OMP_NUM_THREADS=1 python tests/cost_of_scans.py CONFIG --few 4 --many 104

The data set of the configuration has the layout of the Medical Segmentation Decathlon. Processor
time of a command and of all its children does not count what other programs of the machine take,
though these slow it down by sharing caches and cores.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from slicewise.config import load_config

STEPS = (20, 120)
_PR_SET_CHILD_SUBREAPER = 36


def seconds_of(*arguments: str | Path) -> float:
    """Processor time of a command of slicewise, its orphans included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "slicewise", *map(str, arguments)]
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert done.returncode in (0, 1), done.stderr.decode()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def subset(root: Path, folder: Path, count: int) -> Path:
    """Links to the first scans of a data set, and to their labels."""
    names = sorted(path.name for path in (root / "imagesTr").glob("[!.]*.nii.gz"))[:count]
    assert len(names) == count, f"{root} has {len(names)} scans"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
        for name in names:
            (folder / part / name).symlink_to((root / part / name).resolve())
    return folder


def measure(config: Path, folder: Path, counts: Sequence[int]) -> None:
    """Print the cost of each stage, as soon as it is known."""
    root = load_config(config).data.root
    assert root is not None, "data.root"
    few, many = (subset(root, folder / f"data-{count}", count) for count in counts)
    work, one = ("--work", folder / "work"), ("--workers", "1")

    def configured(scans: Path, steps: int = STEPS[0]) -> tuple[str | Path, ...]:
        settings = (
            *(f"training.steps={steps}", "training.budget_minutes=null", "training.validations=1"),
            *(f"data.root={scans}", "data.fold_count=2"),
        )
        return (*(item for setting in settings for item in ("--set", setting)), *work)

    def show(stage: str, seconds: Sequence[float], added: int, unit: str) -> None:
        cost = (seconds[1] - seconds[0]) / added
        sys.stdout.write(f"{stage:10}  {cost:8.3f} s a {unit}, {seconds[0]:.1f} s for the first\n")
        sys.stdout.flush()

    def each(stage: str, command: Callable[[Path], Sequence[str | Path]]) -> None:
        show(stage, [seconds_of(*command(at), *one) for at in (few, many)],
             counts[1] - counts[0], "scan")  # fmt: skip

    each("check", lambda at: ("check", at))
    each("preprocess", lambda at: ("preprocess", config, *configured(at)))
    trained = [
        seconds_of("train", config, *configured(few, steps),
                   "--out", folder / f"model-{steps}", *one)
        for steps in STEPS
    ]  # fmt: skip
    show("train", trained, STEPS[1] - STEPS[0], "step")
    model = folder / f"model-{STEPS[1]}"

    def masks(at: Path) -> Path:
        return folder / f"masks-{at.name}"

    each("predict", lambda at: ("predict", model, at / "imagesTr", "--out", masks(at), *work))
    each(
        "evaluate",
        lambda at: ("evaluate", masks(at), at / "labelsTr", "--config", config,
                    "--out", folder / f"{at.name}.csv"),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--few", type=int, default=4)
    parser.add_argument("--many", type=int, default=104)
    asked = parser.parse_args()
    # Processes whose parent has ended are waited for here.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with TemporaryDirectory() as folder:
        measure(asked.config, Path(folder), (asked.few, asked.many))


if __name__ == "__main__":
    main()
