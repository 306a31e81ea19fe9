"""Groups that share members are one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.linear_time import linear_time

from slicewise.dataset.grouping import joined

MANY = [f"{number:06d}" for number in range(100_000)]


def test_groups_with_common_members_are_one() -> None:
    groups = [("b", "a"), ("d", "c"), ("x", "y"), ("d", "a"), ("z",), ("z", "z")]
    assert joined(groups) == [("a", "b", "c", "d"), ("x", "y"), ("z",)]
    assert joined([]) == []
    assert joined([set(), {"a"}]) == [("a",)]


@pytest.mark.parametrize(
    "groups",
    [
        [MANY],
        list(pairwise(MANY)),
        list(pairwise(reversed(MANY))),
        [(MANY[0], name) for name in MANY],
        [(name, MANY[-1]) for name in MANY],
    ],
    ids=["one", "chain", "chain from its end", "star", "star of the last"],
)
def test_a_hundred_thousand_members(groups: list[tuple[str, ...]]) -> None:
    with linear_time():
        assert joined(groups) == [tuple(MANY)]
