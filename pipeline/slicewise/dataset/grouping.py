"""Joins groups that have members in common."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def joined(groups: Iterable[Collection[str]]) -> list[tuple[str, ...]]:
    """Groups without common members: each contains all groups that are connected by members.

    Members and groups are sorted.
    """
    group_of: dict[str, set[str]] = {}
    for group in groups:
        merged = set(group).union(*(group_of[name] for name in group if name in group_of))
        group_of |= dict.fromkeys(merged, merged)
    return sorted({tuple(sorted(group)) for group in group_of.values()})
