"""Disturbs real commands at random moments, and tells which promises were kept.

make chaos                  # 20 minutes, with a seed that is printed
make chaos SEED=7 MINUTES=60
make chaos SEED=7 ONLY=12   # case 12 of seed 7 again
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.arena import Arena
from tests.chaos.cases import Case, Outcome, run_case
from tests.chaos.commands import COMMANDS
from tests.chaos.faults import FAULTS


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="default: a random one")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--only", default="", help="numbers of cases, such as 3,8")
    parser.add_argument("--commands", default="", help="such as train,resume")
    parser.add_argument("--faults", default="", help="such as 'kill,full disk'")
    given = parser.parse_args()
    if given.only and given.seed is None:
        parser.error("--only needs the seed of the cases")
    if given.seed is None:
        given.seed = random.SystemRandom().randrange(10_000)
    print(f"seed {given.seed}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    root = Path(tempfile.mkdtemp(prefix="chaos-"))
    arena = Arena(root)
    if not arena.has_own_disk:
        needy = ", ".join(fault.name for fault in FAULTS if fault.needs_disk)
        print(f"skipped: {needy}; they need the right to mount: root, or `unshare -rm make chaos`")
    outcomes: list[Outcome] = []
    try:
        for case in _cases(given, arena):
            outcome = run_case(case, arena)
            outcomes.append(outcome)
            _tell(outcome)
    except KeyboardInterrupt:
        print("interrupted")
    finally:
        arena.close()
        for left in ("arena", "states", "tmp", "home"):
            shutil.rmtree(root / left, ignore_errors=True)
    _show_table(outcomes)
    broken = any(outcome.broken for outcome in outcomes)
    print(f"files of broken cases: {root / 'kept'}" if broken else "every promise was kept")
    return 1 if broken or not outcomes else 0


def _cases(given: argparse.Namespace, arena: Arena) -> Iterator[Case]:
    chosen = {int(number) for number in given.only.split(",") if number}
    until = time.monotonic() + 60 * given.minutes
    for number in range(1, max(chosen) + 1 if chosen else sys.maxsize):
        if not chosen and time.monotonic() > until:
            return
        case = Case.of(given.seed, number)
        is_wanted = (
            (number in chosen or not chosen)
            and (not given.commands or case.command.name in given.commands.split(","))
            and (not given.faults or case.fault.name in given.faults.split(","))
        )
        if is_wanted and (arena.has_own_disk or not case.fault.needs_disk):
            yield case


def _tell(outcome: Outcome) -> None:
    case = outcome.case
    verdict = "BROKEN" if outcome.broken else "kept"
    print(f"{case}: {outcome.told or 'nothing to strike'}; {verdict}", flush=True)
    for line in outcome.broken:
        print(f"    {line}")
    if outcome.broken:
        print(f"    again: make chaos SEED={case.seed} ONLY={case.number}", flush=True)


def _show_table(outcomes: list[Outcome]) -> None:
    tried = Counter((o.case.fault.name, o.case.command.name) for o in outcomes if o.told)
    broken = Counter((o.case.fault.name, o.case.command.name) for o in outcomes if o.broken)
    names = [command.name for command in COMMANDS]
    print("\ntried (broken)".ljust(18) + "".join(name.rjust(11) for name in names))
    for fault in FAULTS:
        pairs = [(fault.name, name) for name in names]
        cells = (
            f"{tried[p]}" + (f" ({broken[p]})" if broken[p] else "") if tried[p] else "-"
            for p in pairs
        )
        print(fault.name.ljust(17) + "".join(cell.rjust(11) for cell in cells))
    total, lost = sum(tried.values()), sum(broken.values())
    print(f"{total} faults tried, {total - lost} kept, {lost} broken")


if __name__ == "__main__":
    sys.exit(main())
