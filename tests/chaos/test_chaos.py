"""A fixed selection of ``make chaos``; the tool tries any command, fault and moment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.chaos.arena import Arena
from tests.chaos.cases import Case, run_case
from tests.chaos.commands import BY_NAME
from tests.chaos.faults import FAULTS


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The folder of all cases."""
    arena = Arena(tmp_path_factory.mktemp("chaos"))
    yield arena
    arena.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "fault", "fraction"),
    [
        ("train", "kill", 0.6),
        ("predict", "full disk", 0.4),
        ("predict", "flipped bit", 0.1),
        ("evaluate", "SIGTERM", 0.5),
    ],
)
def test_promises_are_kept(arena: Arena, command: str, fault: str, fraction: float) -> None:
    (chosen,) = (one for one in FAULTS if one.name == fault)
    if chosen.needs_disk and not arena.has_own_disk:
        pytest.skip("no right to mount a disk of its own")
    case = Case(0, 0, BY_NAME[command], chosen, fraction, by_time=False)
    outcome = run_case(case, arena)
    assert outcome.told
    assert outcome.broken == []
