"""Joins groups that have members in common."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def joined(groups: Iterable[Collection[str]]) -> list[tuple[str, ...]]:
    """Groups without common members: each contains all groups that are connected by members.

    Members and groups are sorted.
    """
    above: dict[str, str] = {}
    for first, *others in filter(None, groups):
        for name in (first, *others):
            above[_top(name, above)] = _top(first, above)
    members: dict[str, list[str]] = {}
    for name in sorted(above):
        members.setdefault(_top(name, above), []).append(name)
    return sorted(map(tuple, members.values()))


def _top(name: str, above: dict[str, str]) -> str:
    """The member that stands for a group; paths to it are halved on the way."""
    while (upper := above.setdefault(name, name)) != name:
        above[name] = name = above[upper]
    return name
