"""Downloads of public data sets: resumed after interruptions, verified by checksum, unpacked.

pooch and MONAI's ``download_url`` verify checksums too, but discard what has arrived when a
connection breaks.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import requests

from slicewise.dataset.archives import cannot_write, require_space, unpack_tar
from slicewise.errors import DataError, DownloadError, OutputError, file_problem
from slicewise.file_names import file_name
from slicewise.imaging.files import part_folder
from slicewise.imaging.locking import sole_user
from slicewise.progress import SILENT, Progress, Task

__all__ = ["download_hippocampus", "fetch_archive", "unpack_tar"]

ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = (10.0, 60.0)
CHUNK_BYTES = 2**16
"""What a broken connection loses at most."""
RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses of a temporary fault."""

HIPPOCAMPUS = "Task04_Hippocampus"


class _Interrupted(Exception):
    """The connection broke or the server was busy; what has arrived is kept."""


@dataclass(frozen=True)
class _Transfer:
    """One file being downloaded.

    Attributes:
        url: of the file.
        part: where the bytes are appended.
        task: counts the bytes.
    """

    url: str
    part: Path
    task: Task

    @property
    def received_bytes(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def failure(self, *, expected: str, found: str, remedy: str) -> DownloadError:
        return DownloadError(self.url, expected=expected, found=found, remedy=remedy)


def fetch_archive(url: str, md5: str, folder: Path, progress: Progress = SILENT) -> Path:
    """Download a file into ``folder``, resuming an earlier attempt.

    A file that is there already and has the right checksum is not downloaded again.

    Args:
        url: http or https; its last part names the file.
        md5: hexadecimal checksum of the whole file.
        folder: is made where it does not exist.
        progress: its task counts bytes; their total is unknown until the server reports it.

    Returns:
        The path of the file, complete and verified.

    Raises:
        DownloadError: the server refuses, the connection breaks repeatedly, or the checksum is
            wrong; a file with a wrong checksum is deleted.
        OutputError: no space, or no permission to write.
    """
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    file_name(name, url, suffix=".part", kind=DownloadError, remedy="correct the URL")
    target = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.exists():
            if _md5_of(target) == md5.lower():
                return target
            raise _another_file(target)
        with progress.task("downloading") as task:
            transfer = _Transfer(url, folder / f"{name}.part", task)
            _receive_with_retries(transfer)
        _require_checksum(transfer, md5.lower())
        transfer.part.replace(target)
    except requests.RequestException as error:  # these are OSErrors too, but not of the disk
        raise DownloadError(
            url,
            expected="an http or https URL that answers",
            found=_problem(error),
            remedy="check the URL, the proxy and the network",
        ) from error
    except OSError as error:
        raise cannot_write(folder, error) from error
    return target


def _another_file(target: Path) -> OutputError:
    return OutputError(
        target,
        expected="the archive of the data set, or no file of this name",
        found="another file, by its checksum",
        remedy="move it away, or choose another `out`",
    )


def _receive_with_retries(transfer: _Transfer) -> None:
    failures = 0
    while True:
        before = transfer.received_bytes
        try:
            _receive(transfer)
        except _Interrupted as error:
            # Only consecutive attempts without a byte count.
            failures = 1 if transfer.received_bytes > before else failures + 1
            if failures == ATTEMPTS:
                raise transfer.failure(
                    expected="an uninterrupted download",
                    found=f"{error}, {ATTEMPTS} times",
                    remedy="start the download again later: it resumes where it stopped",
                ) from error
            time.sleep(FIRST_PAUSE_SECONDS * 2 ** (failures - 1))
        else:
            return


def _receive(transfer: _Transfer) -> None:
    """One request: append what is missing, or start again where the server ignores ranges."""
    offset = transfer.received_bytes
    # With compression, the bytes sent and the bytes on disk would differ.
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        with requests.get(
            transfer.url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS
        ) as response:
            if response.status_code == 416:
                _handle_refused_range(transfer, response, offset)
                return
            _require_success(transfer, response)
            _append(transfer, response, _confirmed_offset(response, offset))
    except (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
    ) as error:
        raise _Interrupted(_problem(error)) from error


def _handle_refused_range(transfer: _Transfer, response: requests.Response, offset: int) -> None:
    """Nothing is missing, or the part belongs to another file and is deleted."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    if total == str(offset):
        return
    transfer.part.unlink()
    raise _Interrupted(f"the server refused to resume at byte {offset}")


def _require_success(transfer: _Transfer, response: requests.Response) -> None:
    status = f"status {response.status_code} {response.reason}".rstrip()
    if response.status_code in RETRIED_STATUSES:
        raise _Interrupted(status)
    if response.status_code not in (200, 206):
        raise transfer.failure(
            expected="status 200 or 206",
            found=status,
            remedy="check the URL, or give another one of the same file",
        )


def _confirmed_offset(response: requests.Response, offset: int) -> int:
    """Byte at which the body starts: 0 when the server ignored the range."""
    if response.status_code != 206:
        return 0
    start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if start != str(offset):
        raise _Interrupted(
            f"the server sent bytes from {start or 'an unknown position'}, not from {offset}"
        )
    return offset


def _append(transfer: _Transfer, response: requests.Response, offset: int) -> None:
    length = response.headers.get("Content-Length", "")
    total = offset + int(length) if length.isdigit() else None
    if total is not None:
        require_space(transfer.part.parent, total - offset)
    received = offset
    with transfer.part.open("ab" if offset else "wb") as part:
        for chunk in response.iter_content(CHUNK_BYTES):
            part.write(chunk)
            received += len(chunk)
            transfer.task.update(received, total=total, detail="bytes")
    if total is not None and received < total:
        raise _Interrupted(f"{received} of {total} bytes")


def _require_checksum(transfer: _Transfer, md5: str) -> None:
    found = _md5_of(transfer.part)
    if found == md5:
        return
    transfer.part.unlink()
    raise transfer.failure(
        expected=f"md5 {md5}",
        found=f"md5 {found}",
        remedy="download again; if the checksum is still wrong, the file at this URL has changed",
    )


def _md5_of(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def download_hippocampus(
    folder: Path, progress: Progress = SILENT, url: str | None = None, md5: str | None = None
) -> Path:
    """Fetch the hippocampus task of the Medical Segmentation Decathlon (about 28 MB).

    Args:
        folder: parent of the folder of the data set.
        progress: its task counts bytes.
        url: another URL of the same archive; MONAI's by default.
        md5: its checksum; MONAI's by default.

    Returns:
        ``folder/Task04_Hippocampus`` with its ``dataset.json``; a complete one is left as it is.

    Raises:
        DownloadError: see ``fetch_archive``.
        DataError: the archive is unsafe, damaged, or of another data set.
        OutputError: no space, no permission, another process, or an incomplete data set at the
            target.

    Source:
        Antonelli et al., Nature Communications 2022;13:4128.
    """
    target = folder / HIPPOCAMPUS
    if (target / "dataset.json").is_file():
        return target
    if url is None or md5 is None:
        known_url, known_md5 = _published(HIPPOCAMPUS)
        url, md5 = url or known_url, md5 or known_md5
    with sole_user(folder):
        known = set(folder.iterdir())
        archive = fetch_archive(url, md5, folder, progress)
        _unpack_data_set(archive, target)
        # One that a person had brought here is theirs.
        if archive not in known:
            archive.unlink()
    return target


def _published(task: str) -> tuple[str, str]:
    # Importing MONAI takes seconds.
    from slicewise.lean_monai import DecathlonDataset

    return DecathlonDataset.resource[task], DecathlonDataset.md5[task]


def _unpack_data_set(archive: Path, target: Path) -> None:
    """Unpack next to the target and rename, so that an interruption leaves no partial data set."""
    with part_folder(target.parent) as temporary:
        unpack_tar(archive, temporary)
        unpacked = temporary / target.name
        if not (unpacked / "dataset.json").is_file():
            raise DataError(
                archive,
                expected=f"{target.name}/dataset.json in the archive",
                found=", ".join(sorted(item.name for item in temporary.iterdir()))
                or "an empty archive",
                remedy="give the URL of the archive of this data set",
            )
        try:
            unpacked.rename(target)
        except OSError as error:
            raise OutputError(
                target,
                expected="a complete data set, or no folder of this name",
                found=file_problem(error),
                remedy="remove this folder and start again",
            ) from error


def _problem(error: Exception) -> str:
    """What went wrong with a connection, without addresses of objects and names of classes."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "a connection that is not secure"
    if isinstance(error, requests.exceptions.ProxyError):
        return "a proxy that does not answer"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "a connection that broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error) or "a failed request"
