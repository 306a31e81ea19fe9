"""The named errors: each says where, what was expected, what was found and what to do."""

from __future__ import annotations

import os
from pathlib import Path

Where = str | os.PathLike[str]


class SlicewiseError(Exception):
    """A mistake or fault that a user can act on; printed without a traceback.

    Args:
        where: the path, then the tag or key, that is concerned.
        expected: what would have been right.
        found: what was there instead.
        remedy: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, where: Where, *, expected: str, found: str, remedy: str) -> None:
        self.where = os.fspath(where)
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(self.where, expected, found, remedy)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors travel from worker processes; keyword-only arguments need help with that.
        return _rebuild, (type(self), self.where, self.expected, self.found, self.remedy)

    def __str__(self) -> str:
        return (
            f"{self.where}\n"
            f"  expected: {self.expected}\n"
            f"  found:    {self.found}\n"
            f"  remedy:   {self.remedy}"
        )

    @property
    def reason(self) -> str:
        """One line for a table or a quarantine list."""
        return f"expected {self.expected}, found {self.found}"


def _rebuild(
    kind: type[SlicewiseError], where: str, expected: str, found: str, remedy: str
) -> SlicewiseError:
    return kind(where, expected=expected, found=found, remedy=remedy)


class UsageError(SlicewiseError):
    """The command line asks for something that does not exist or contradicts itself."""

    exit_code = 2


class ConfigError(SlicewiseError):
    """One mistake in a configuration file or a ``--set`` option."""

    exit_code = 2


class ConfigErrors(SlicewiseError):
    """All mistakes of one configuration, found together."""

    exit_code = 2

    def __init__(self, mistakes: list[ConfigError]) -> None:
        self.mistakes = mistakes
        super().__init__(
            mistakes[0].where,
            expected="a valid configuration",
            found=f"{len(mistakes)} mistakes",
            remedy="correct each of them",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return ConfigErrors, (self.mistakes,)

    def __str__(self) -> str:
        return "\n".join(str(mistake) for mistake in self.mistakes)


class DataError(SlicewiseError):
    """A data set as a whole cannot be used as it is."""


class ScanError(SlicewiseError):
    """One scan cannot be used; the rest of the data set goes on without it."""


class GeometryError(ScanError):
    """Voxels and world do not fit together: spacing, orientation, position or grid."""


class LabelError(ScanError):
    """A label map holds values that it must not hold."""


class CheckpointError(SlicewiseError):
    """A checkpoint is damaged, or does not fit the network that is to use it."""


class ModelError(SlicewiseError):
    """A model argument leads to no model."""


class OutputError(SlicewiseError):
    """A result cannot be written to its place."""


class TrainingError(SlicewiseError):
    """Training cannot go on."""


class DownloadError(SlicewiseError):
    """A public data set could not be fetched or does not match its checksum."""


class InterruptedBySignal(SlicewiseError):
    """A signal ended the work after its state had been saved."""

    def __init__(self, signal_number: int, saved: Path) -> None:
        self.signal_number = signal_number
        self.saved = saved
        super().__init__(
            saved,
            expected="training to run to its last step",
            found=f"signal {signal_number}",
            remedy="the state is saved; go on with --resume",
        )
        # As shells report it.
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[object, ...]:
        return InterruptedBySignal, (self.signal_number, self.saved)


def file_problem(error: OSError) -> str:
    """What the operating system said, without the path."""
    return error.strerror or type(error).__name__
