"""Keyed pseudonyms of patients and DICOM objects, reproducible with the same key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from slicewise.errors import OutputError, SlicewiseError, file_problem
from slicewise.imaging.dicom.uids import uid_of
from slicewise.imaging.files import part_prefix

KEY_FILE = "pseudonym.key"
KEY_BYTES = 32
NAME_LETTERS = 10
_CHECK_DIGITS = 16


class PseudonymKeyError(SlicewiseError):
    """The key of the pseudonyms is invalid, or not secret."""


@dataclass(frozen=True)
class Pseudonyms:
    """Pseudonyms that can be derived only with the key, and never reversed.

    With the key one can check whether a known patient is among the pseudonyms; without it, not.
    With another key the same patients get other pseudonyms.

    Attributes:
        key: 32 secret bytes, excluded from ``repr``.
    """

    key: bytes = field(repr=False)

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The pseudonyms of a folder; the first call creates its key.

        Concurrent processes get the same key.

        Raises:
            PseudonymKeyError: the key file is damaged, or readable by others.
            OutputError: the key file cannot be created.
        """
        path = folder / KEY_FILE
        _make_key_once(path)
        return cls(_read_key(path))

    def name(self, patient_id: str) -> str:
        """Pseudonym of a patient: ``p`` and ten letters or digits; case and spacing are ignored.

        Raises:
            ValueError: the id is blank.
        """
        merged = " ".join(patient_id.split()).casefold()
        if not merged:
            raise ValueError("a patient id must not be blank")
        letters = base64.b32encode(self._digest("patient", merged)).decode().lower()
        return f"p{letters[:NAME_LETTERS]}"

    def uid(self, uid: str) -> str:
        """Pseudonym of a DICOM identifier."""
        return uid_of(self._digest("uid", uid.strip()))

    def _digest(self, kind: str, text: str) -> bytes:
        # The kind distinguishes a patient and an object with the same identifier.
        content = f"{kind}\0{text}".encode(errors="surrogateescape")
        return hmac.digest(self.key, content, hashlib.sha256)


def _make_key_once(path: Path) -> None:
    try:
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp creates files that only their owner can read.
        handle, name = tempfile.mkstemp(".part", part_prefix(path.parent), path.parent)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                key = secrets.token_bytes(KEY_BYTES)
                file.write(f"{key.hex()} {_check_of(key)}\n")
                file.flush()
                os.fsync(file.fileno())
            # Unlike a rename, a link never replaces a key that another process created.
            path.hardlink_to(name)
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    except OSError as error:
        raise OutputError(
            path,
            expected="a writable folder for the key of the pseudonyms",
            found=file_problem(error),
            remedy="choose another folder, or correct its permissions",
        ) from error


def _read_key(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        text, _, check = path.read_text(encoding="ascii").strip().partition(" ")
        key = bytes.fromhex(text)
    except OSError as error:
        raise _no_key(path, file_problem(error), "correct its permissions") from error
    except ValueError:
        # The cause would quote the key.
        raise _no_key(path, "other characters", _LOST) from None
    if stat.S_IMODE(mode) & 0o077:
        found = f"permissions {stat.S_IMODE(mode):04o}: readable by others"
        raise _no_key(path, found, f"chmod 600 {path}; who has read the key can recognise patients")
    if len(key) != KEY_BYTES:
        raise _no_key(path, f"{len(key)} bytes", _LOST)
    if check != _check_of(key):
        found = "another checksum: it was changed" if check else "no checksum"
        raise _no_key(path, found, _LOST)
    return key


def _check_of(key: bytes) -> str:
    """Checksum by which a damaged key is noticed: it would silently give other pseudonyms."""
    return hashlib.sha256(key).hexdigest()[:_CHECK_DIGITS]


_LOST = "restore it from a backup; if it is deleted, patients get other pseudonyms"


def _no_key(path: Path, found: str, remedy: str) -> PseudonymKeyError:
    return PseudonymKeyError(
        path,
        expected=f"a key of {KEY_BYTES} bytes as hexadecimal digits, and its checksum",
        found=found,
        remedy=remedy,
    )
