"""Safe unpacking of tar archives of unknown origin."""

from __future__ import annotations

import gzip
import lzma
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from slicewise.errors import DataError, OutputError, file_problem
from slicewise.file_names import nearest_path

LARGEST_EXPANSION = 20
EXPANSION_ALLOWANCE_BYTES = 10**9
TAR_BLOCK_BYTES = 512
# BadGzipFile is an OSError, so it has to be caught before errors of the disk.
DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


def unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack a tar archive of unknown origin; metadata files of macOS are skipped.

    All members are checked before the first one is written.

    Args:
        archive: plain or compressed.
        folder: is made where it does not exist.

    Raises:
        DataError: damaged; a member is a link or a device or leads out of the folder; or the
            archive unpacks to more than 20 times its size and a gigabyte.
        OutputError: no space, or no permission to write.
    """
    with _open(archive) as tar:
        try:
            members = _checked_members(archive, tar)
        except (*DAMAGE, OSError) as error:
            raise _damaged(archive, error) from error
        try:
            folder.mkdir(parents=True, exist_ok=True)
            require_space(folder, sum(member.size for member in members))
            tar.extractall(folder, members=members, filter="data")
        except DAMAGE as error:
            raise _damaged(archive, error) from error
        except OSError as error:
            raise cannot_write(folder, error) from error


def _open(archive: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(archive)
    except (*DAMAGE, OSError) as error:
        raise _damaged(archive, error) from error


def _damaged(archive: Path, error: Exception) -> DataError:
    return DataError(
        archive,
        expected="an intact tar archive",
        found=file_problem(error) if isinstance(error, OSError) else "another or a damaged file",
        remedy=nearest_path(archive) or "correct the path, or get the file again",
    )


def _checked_members(archive: Path, tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    largest = LARGEST_EXPANSION * archive.stat().st_size + EXPANSION_ALLOWANCE_BYTES
    total = 0
    members = []
    for member in tar:
        total += member.size + TAR_BLOCK_BYTES
        # Checked now: reaching the next header means decompressing this member.
        if total > largest:
            raise _refused(
                archive, member, f"at most {largest} bytes in total", f"{total} bytes so far"
            )
        if _is_macos_metadata(member.name):
            continue
        _require_harmless(archive, member)
        members.append(member)
    return members


def _is_macos_metadata(name: str) -> bool:
    """Whether macOS added it: resource forks and folder settings."""
    path = PurePosixPath(name)
    return path.name.startswith("._") or path.name == ".DS_Store" or "__MACOSX" in path.parts


def _require_harmless(archive: Path, member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise _refused(archive, member, "a path inside the archive", "a path that leads outside")
    if not (member.isreg() or member.isdir()):
        kind = "a link" if member.issym() or member.islnk() else "a special file"
        raise _refused(archive, member, "files and folders", kind)


def _refused(archive: Path, member: tarfile.TarInfo, expected: str, found: str) -> DataError:
    return DataError(
        f"{archive}: {member.name}",
        expected=expected,
        found=found,
        remedy="do not use this archive; get it again from its publisher",
    )


def require_space(folder: Path, needed_bytes: int) -> None:
    """Require free space on the disk of a folder.

    Raises:
        OutputError: less than ``needed_bytes`` is free.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise OutputError(
            folder,
            expected=f"{needed_bytes / 1e6:.0f} MB of free space",
            found=f"{free_bytes / 1e6:.0f} MB that are free",
            remedy="free space, or choose another folder",
        )


def cannot_write(folder: Path, error: OSError) -> OutputError:
    """The error for a folder that the operating system does not let us write to."""
    return OutputError(
        folder,
        expected="a writable folder",
        found=file_problem(error),
        remedy="choose another folder, free space, or correct its permissions",
    )
