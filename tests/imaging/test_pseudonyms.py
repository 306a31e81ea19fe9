"""Pseudonyms hang on a key and nothing else; the key stays a secret of its folder."""

from __future__ import annotations

import multiprocessing
import pickle
import re
import uuid
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise.errors import OutputError
from slicewise.imaging.pseudonyms import PseudonymKeyError, Pseudonyms

KEY = Pseudonyms(bytes(range(32)))
OTHER = Pseudonyms(bytes(range(1, 33)))


def key_of(folder: Path) -> bytes:
    return Pseudonyms.of(folder).key


def test_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "work" / "private"
    first = Pseudonyms.of(folder)
    (path,) = folder.iterdir()
    assert path.name == "pseudonym.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert bytes.fromhex(path.read_text().split()[0]) == first.key
    assert len(first.key) == 32
    assert Pseudonyms.of(folder) == first
    assert Pseudonyms.of(tmp_path / "elsewhere") != first


def test_processes_that_begin_at_once_get_the_same_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        keys = set(pool.map(key_of, [tmp_path] * 16))
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["pseudonym.key"]


@pytest.mark.parametrize(
    ("content", "mode", "found"),
    [
        ("ab" * 32, 0o640, "permissions 0640: readable by others"),
        ("ab" * 31, 0o600, "31 bytes"),
        ("", 0o600, "0 bytes"),
        ("secret, but no key", 0o600, "other characters"),
        ("ab" * 32, 0o600, "no checksum"),
        ("ab" * 32 + " 0123456789abcdef", 0o600, "another checksum: it was changed"),
    ],
)
def test_key_that_is_none_is_refused(tmp_path: Path, content: str, mode: int, found: str) -> None:
    path = tmp_path / "pseudonym.key"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(PseudonymKeyError) as caught:
        Pseudonyms.of(tmp_path)
    assert caught.value.where == str(path)
    assert caught.value.found == found
    assert "secret, but" not in str(caught.value)
    assert path.read_text() == content


@pytest.mark.fault(119, "E")
@pytest.mark.parametrize("bit", range(0, 8 * (64 + 1 + 16), 7))
def test_flipped_bit_never_gives_another_key(tmp_path: Path, bit: int) -> None:
    whole = Pseudonyms.of(tmp_path)
    path = tmp_path / "pseudonym.key"
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    # Digits may be of upper case.
    with suppress(PseudonymKeyError):
        assert Pseudonyms.of(tmp_path) == whole


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        Pseudonyms.of(tmp_path / "file" / "folder")


def test_names_are_those_of_the_hash() -> None:
    # HMAC-SHA256 and base32 of RFC 4648, calculated apart with OpenSSL and coreutils.
    assert KEY.name("Hospital-0815") == "pqv3i7cxv4o"
    assert KEY.uid("1.2.840.10008.1.1") == "2.25.236636585589236199834174011617366443239"


def test_same_patient_in_other_writing_has_the_same_name() -> None:
    name = KEY.name("MRN 08 15")
    assert re.fullmatch("p[a-z2-7]{10}", name)
    assert {KEY.name(one) for one in (" mrn 08  15 ", "Mrn\t08 15", "MRN 08 15")} == {name}
    assert KEY.name("MRN 0815") != name
    assert OTHER.name("MRN 08 15") != name


@pytest.mark.parametrize("blank", ["", "  ", "\t\n"])
def test_blank_id_names_nobody(blank: str) -> None:
    with pytest.raises(ValueError, match="blank"):
        KEY.name(blank)


@given(st.sets(st.text(min_size=1).filter(str.strip), min_size=2))
def test_different_patients_have_different_names(ids: set[str]) -> None:
    merged = {" ".join(one.split()).casefold() for one in ids}
    assert len({KEY.name(one) for one in ids}) == len(merged)


def test_identifiers_are_valid_and_hang_on_the_key() -> None:
    uid = KEY.uid("1.2.3.4")
    assert uuid.UUID(int=int(uid.removeprefix("2.25."))).variant == uuid.RFC_4122
    assert len(uid) <= 64
    assert KEY.uid("1.2.3.4 ") == uid
    assert len({uid, KEY.uid("1.2.3.5"), OTHER.uid("1.2.3.4")}) == 3


def test_key_is_shown_nowhere_but_travels_to_other_processes() -> None:
    for text in (repr(KEY), str(KEY), f"{KEY!r}"):
        assert text == "Pseudonyms()"
    assert pickle.loads(pickle.dumps(KEY)) == KEY
