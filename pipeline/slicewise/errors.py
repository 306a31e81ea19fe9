"""Named errors: each states where it occurred, what was expected, what was found, and a remedy."""

from __future__ import annotations

import difflib
import errno
import os
import re
import signal
import unicodedata
from collections.abc import Iterable

Where = str | os.PathLike[str]


class SlicewiseError(Exception):
    """Base of all errors that a user can act on; printed without a traceback.

    Args:
        where: path, followed by the tag or key if there is one.
        expected: valid content.
        found: actual content.
        remedy: what the user can do.
    """

    exit_code = 1

    def __init__(self, where: Where, *, expected: str, found: str, remedy: str) -> None:
        self.where = os.fspath(where)
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(self.where, expected, found, remedy)

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes pickle errors, which by default drops keyword-only arguments.
        return _rebuild, (type(self), self.where, self.expected, self.found, self.remedy)

    def __str__(self) -> str:
        return (
            f"{printable(self.where)}\n"
            f"  expected: {printable(self.expected)}\n"
            f"  found:    {printable(self.found)}\n"
            f"  remedy:   {printable(self.remedy)}"
        )

    @property
    def reason(self) -> str:
        """One line for a table or a quarantine list."""
        return printable(f"expected {self.expected}, found {self.found}")


def _rebuild(
    kind: type[SlicewiseError], where: str, expected: str, found: str, remedy: str
) -> SlicewiseError:
    return kind(where, expected=expected, found=found, remedy=remedy)


class UsageError(SlicewiseError):
    """Options that do not exist or contradict each other."""

    exit_code = 2


class ConfigError(SlicewiseError):
    """A mistake in a configuration, or in a setting that changes it."""

    exit_code = 2


class ConfigErrors(SlicewiseError):
    """All mistakes in a configuration."""

    exit_code = 2

    def __init__(self, mistakes: list[ConfigError]) -> None:
        self.mistakes = mistakes
        super().__init__(
            mistakes[0].where,
            expected="a valid configuration",
            found=f"mistakes: {len(mistakes)}",
            remedy="correct each of them",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return ConfigErrors, (self.mistakes,)

    def __str__(self) -> str:
        return "\n".join(str(mistake) for mistake in self.mistakes)


class DataError(SlicewiseError):
    """A data set cannot be used."""


class ScanError(SlicewiseError):
    """A scan cannot be used; other scans of the data set are not affected."""


class GeometryError(ScanError):
    """Invalid or inconsistent geometry: spacing, orientation, position or grid."""


class LabelError(ScanError):
    """A label map contains invalid values."""


class CheckpointError(SlicewiseError):
    """A checkpoint is damaged, or does not match the network."""


class ModelError(SlicewiseError):
    """A model cannot be found or loaded."""


class OutputError(SlicewiseError):
    """A result cannot be written."""


class TrainingError(SlicewiseError):
    """Training cannot continue."""


class WorkerError(SlicewiseError):
    """Child processes cannot be started."""


class DownloadError(SlicewiseError):
    """A download failed, or does not match its checksum."""


GO_ON = "what is finished is kept; give the command again"
"""How work goes on that a signal has ended, where nothing better is known."""


class InterruptedBySignal(SlicewiseError):
    """A signal ended the work; what was finished is kept.

    Args:
        signal_number: of the signal.
        where: what was interrupted, or the file with its state.
        remedy: how it goes on.
        also: what went wrong at the end; empty if nothing did.
    """

    def __init__(
        self, signal_number: int, where: Where = "slicewise", remedy: str = GO_ON, also: str = ""
    ) -> None:
        self.signal_number = signal_number
        self.also = also
        name = signal.Signals(signal_number).name
        super().__init__(
            where,
            expected="time to finish",
            found=f"the signal {name}; at the end {also}" if also else f"the signal {name}",
            remedy=remedy,
        )
        # The convention of shells.
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[object, ...]:
        return InterruptedBySignal, (self.signal_number, self.where, self.remedy, self.also)


_INSTALLATION = {
    "torch": "pip install torch==2.13.0",
    "cv2": "pip install 'slicewise[baseline]'",
    "optuna": "pip install 'slicewise[sweep]'",
}
"""Package to the command that installs it, where `pip install slicewise` does not."""


class MissingPackageError(SlicewiseError, ImportError):
    """A package that Slicewise builds on is not installed."""


def missing_package(where: str, error: ModuleNotFoundError) -> MissingPackageError:
    """Which package is missing, and how to get it.

    Args:
        where: what needs it.
        error: of the import.
    """
    package = (error.name or "").partition(".")[0]
    remedy = _INSTALLATION.get(package, "pip install slicewise")
    return MissingPackageError(
        where,
        expected=f"the package {package}, which Slicewise requires",
        found="it is not installed in this environment",
        remedy=f"{remedy}, or set up the environment with `make setup`",
    )


def printable(text: str) -> str:
    """A text on one line that no terminal obeys, whatever names from outside it holds.

    Control characters, line breaks and bytes of another encoding than UTF-8 are escaped.
    """
    text = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(
        letter if _is_shown(letter) else letter.encode("unicode_escape").decode() for letter in text
    )


def _is_shown(letter: str) -> bool:
    # No-break spaces and thin ones are not "printable" to Python.
    return letter.isprintable() or unicodedata.category(letter) == "Zs"


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """The question for the known word that a text resembles; empty if there is none."""
    close = difflib.get_close_matches(text, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def file_problem(error: OSError) -> str:
    """The message of the operating system, without the path and without names of classes."""
    if error.strerror:
        return error.strerror
    if _SHORT_WRITE.search(str(error)):
        return os.strerror(errno.ENOSPC)
    return str(error) or "a failure of the file system without a reason"


_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
"""What NumPy says of a full disk."""
