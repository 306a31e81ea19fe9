"""Whether a path is the same file or folder on two machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path


def paths_in(item: object) -> set[Path]:
    """The absolute paths that a task names, and for files to come the folders that they go to.

    Args:
        item: paths, data classes and collections of these.
    """
    return {_there(path.absolute()) for path in _named_in(item)}


def states_of(paths: Iterable[Path]) -> dict[Path, PathState | None]:
    """Path to its state on the machine that is asked; None for one that is not there."""
    return {path: _state(path) for path in paths}


@dataclass(frozen=True)
class PathState:
    """What tells a path on two machines apart.

    Attributes:
        size: of a file, in bytes; None for a folder.
        changed: time of the last change, in seconds.
        number: of the inode, which some network file systems number for each machine.
    """

    size: int | None
    changed: int
    number: int

    def may_be(self, other: PathState) -> bool:
        """Whether both may be the same file or folder; those of folders change with the work."""
        if self.size is not None:
            return (self.size, self.changed) == (other.size, other.changed)
        return other.size is None and (self.number == other.number or self.changed == other.changed)


def _state(path: Path) -> PathState | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return PathState(None if path.is_dir() else found.st_size, int(found.st_mtime), found.st_ino)


def _there(path: Path) -> Path:
    """A path, or the folder above in which it will be made."""
    return path if path.exists() else next(above for above in path.parents if above.exists())


def _named_in(item: object) -> Iterator[Path]:
    if isinstance(item, Path):
        yield item
    elif isinstance(item, Mapping):
        yield from _named_in(tuple(item.values()))
    elif isinstance(item, list | tuple | set | frozenset):
        for part in item:
            yield from _named_in(part)
    elif is_dataclass(item):
        for field in fields(item):
            yield from _named_in(getattr(item, field.name))
