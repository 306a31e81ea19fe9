"""One case: a command, a fault and a moment, all of them chosen by a seed and a number."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.chaos import promises
from tests.chaos.arena import Arena
from tests.chaos.commands import COMMANDS, Command
from tests.chaos.faults import FAULTS, Fault, Moment


@dataclass(frozen=True)
class Case:
    """A command that a fault strikes.

    Attributes:
        fraction: of the changes, or of the time, of the undisturbed command.
        by_time: whether a time decides, instead of a change of a file.
    """

    seed: int
    number: int
    command: Command
    fault: Fault
    fraction: float
    by_time: bool

    @classmethod
    def of(cls, seed: int, number: int) -> Case:
        """The case of that number."""
        chance = random.Random(f"{seed}/{number}")
        (command,) = chance.choices(COMMANDS, [command.weight for command in COMMANDS])
        faults = [fault for fault in FAULTS if command.store or not fault.for_store]
        (fault,) = chance.choices(faults, [fault.weight for fault in faults])
        return cls(seed, number, command, fault, chance.random(), chance.random() < 0.4)

    def __str__(self) -> str:
        return f"{self.number} {self.command.name}, {self.fault.name}"


@dataclass(frozen=True)
class Reference:
    """An undisturbed command.

    Attributes:
        before: digests of its results before it started.
        results: digests of its results.
    """

    seconds: float
    changes: list[str]
    before: dict[str, str]
    results: dict[str, str]
    store: dict[str, Any]


@dataclass
class Outcome:
    """What a fault did.

    Attributes:
        told: the fault in words; empty if there was nothing to strike.
        broken: promises that were not kept.
    """

    case: Case
    told: str = ""
    broken: list[str] = field(default_factory=list)


@cache
def reference(command: Command, arena: Arena) -> Reference:
    """Run a command undisturbed."""
    arena.set_to(command.start)
    before = promises.digests(arena.folder, command)
    done = arena.undisturbed(command)
    assert not promises.broken_grids(arena.folder)
    return Reference(
        done.seconds,
        arena.changes(),
        before,
        promises.digests(arena.folder, command),
        promises.store_content(arena.folder),
    )


def _change(changes: list[str], fraction: float) -> int:
    """Number of a change: each kind of change in each folder has the same chance."""
    kinds: dict[str, list[int]] = {}
    for number, change in enumerate(changes, 1):
        kinds.setdefault(change.rpartition("/")[0], []).append(number)
    position = fraction * len(kinds)
    of_kind = list(kinds.values())[int(position)]
    return of_kind[int(position % 1 * len(of_kind))]


def run_case(case: Case, arena: Arena) -> Outcome:
    """Disturb a command; check what it leaves, repeat it, and check again."""
    undisturbed = reference(case.command, arena)
    arena.set_to(case.command.start)
    inputs = promises.inputs(arena.folder)
    outcome = Outcome(case)
    _disturb(case, arena, undisturbed, outcome)
    if not outcome.broken:
        _repeat(case, arena, undisturbed, outcome)
    if promises.inputs(arena.folder) != inputs:
        outcome.broken.append("inputs have changed")
    if outcome.broken:
        arena.keep(f"{case.seed}-{case.number}")
    return outcome


def _disturb(case: Case, arena: Arena, undisturbed: Reference, outcome: Outcome) -> None:
    at = 0 if case.by_time else _change(undisturbed.changes, case.fraction)
    call = arena.start(case.command.arguments, at)
    moment = Moment(arena, call, random.Random(f"{case.seed}/{case.number}/fault"))
    if case.by_time:
        time.sleep(case.fraction * undisturbed.seconds)
        place = f"after {case.fraction * undisturbed.seconds:.1f} s"
    else:
        call.wait_for_change()
        place = f"before change {at}, {arena.changes()[-1] if arena.changes() else 'none'}"
    with case.fault.strike(moment):
        ended = call.end()
    outcome.told = moment.told and f"{moment.told} {place}, exit code {ended.code}"
    outcome.broken += promises.broken_answer(ended, case.fault, moment, arena.root)
    outcome.broken += promises.broken_files(
        arena.folder, case.command, undisturbed.before, undisturbed.results, case.fault
    )
    outcome.broken += promises.store_content(arena.folder)["faults"]
    if ended.code == 0 and not outcome.broken:
        now = promises.digests(arena.folder, case.command)
        outcome.broken += promises.same_results(now, undisturbed.results)
    if outcome.broken:
        outcome.broken.append(f"stderr: {ended.stderr[-1500:]}")


def _repeat(case: Case, arena: Arena, undisturbed: Reference, outcome: Outcome) -> None:
    """Give the command again, as its messages say."""
    arguments = case.command.on or case.command.arguments
    again = arena.run(arguments)
    if again.code == 1 and "without --resume" in again.stderr:
        again = arena.run(case.command.arguments)
    if again.code != 0:
        outcome.broken.append(f"repeated: exit code {again.code}: {again.stderr[-1500:]}")
        return
    now = promises.digests(arena.folder, case.command)
    outcome.broken += promises.same_results(now, undisturbed.results)
    outcome.broken += [
        f"left after the repetition: {name}" for name in promises.parts(arena.folder)
    ]
    if promises.broken_store(promises.store_content(arena.folder), undisturbed.store):
        promises.let_time_pass(arena.folder)
        synced = arena.run("sync")
        if synced.code != 0:
            outcome.broken.append(f"sync: exit code {synced.code}: {synced.stderr[-1500:]}")
    outcome.broken += promises.broken_store(promises.store_content(arena.folder), undisturbed.store)
