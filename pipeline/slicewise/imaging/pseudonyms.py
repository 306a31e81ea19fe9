"""Identifiers of patients and objects in, keyed pseudonyms out: always the same for one key."""

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

KEY_FILE = "pseudonym.key"
KEY_BYTES = 32
NAME_LETTERS = 10


class PseudonymKeyError(SlicewiseError):
    """The key of the pseudonyms is no key, or no secret."""


@dataclass(frozen=True)
class Pseudonyms:
    """Names that only the holder of a key can make, and nobody can turn back.

    Who holds the key can tell whether a known patient is among the pseudonyms; who does not, can
    not. Without the key file the same patients get other names.

    Attributes:
        key: 32 secret bytes; never shown.
    """

    key: bytes = field(repr=False)

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The pseudonyms of a folder; its key is made at the first call.

        Several processes that begin at once get the same key.

        Raises:
            PseudonymKeyError: the key file is damaged, or others may read it.
            OutputError: there is none, and none can be made.
        """
        path = folder / KEY_FILE
        _make_key_once(path)
        return cls(_read_key(path))

    def name(self, patient_id: str) -> str:
        """``p`` and ten letters or digits; ids that differ by case or space are one patient.

        Raises:
            ValueError: the id is blank, so that it would name everybody.
        """
        merged = " ".join(patient_id.split()).casefold()
        if not merged:
            raise ValueError("a blank id names no patient")
        letters = base64.b32encode(self._digest("patient", merged)).decode().lower()
        return f"p{letters[:NAME_LETTERS]}"

    def uid(self, uid: str) -> str:
        """The identifier that takes the place of another one."""
        return uid_of(self._digest("uid", uid.strip()))

    def _digest(self, kind: str, text: str) -> bytes:
        # The kind keeps a patient and an object of the same identifier apart.
        content = f"{kind}\0{text}".encode(errors="surrogateescape")
        return hmac.digest(self.key, content, hashlib.sha256)


def _make_key_once(path: Path) -> None:
    try:
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # Readable for its owner only, from its first byte on.
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
            # Unlike a rename, a link never takes the place of a key that another process made.
            path.hardlink_to(name)
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    except OSError as error:
        raise OutputError(
            path,
            expected="a place for the key of the pseudonyms",
            found=file_problem(error),
            remedy="choose another folder, or correct its permissions",
        ) from error


def _read_key(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
        key = bytes.fromhex(text)
    except OSError as error:
        raise _no_key(path, file_problem(error), "correct its permissions") from error
    except ValueError:
        # The cause would quote the key.
        raise _no_key(path, "other characters", _LOST) from None
    if stat.S_IMODE(mode) & 0o077:
        found = f"permissions {stat.S_IMODE(mode):04o}: others may read it"
        raise _no_key(path, found, f"chmod 600 {path}; whoever read it can recognise patients")
    if len(key) != KEY_BYTES:
        raise _no_key(path, f"{len(key)} bytes", _LOST)
    return key


_LOST = "restore it from a backup; remove it only if the patients may get other pseudonyms"


def _no_key(path: Path, found: str, remedy: str) -> PseudonymKeyError:
    return PseudonymKeyError(
        path,
        expected=f"{KEY_BYTES} secret bytes as hexadecimal digits",
        found=found,
        remedy=remedy,
    )
