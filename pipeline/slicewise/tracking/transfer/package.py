"""The archive of exported runs and models: a tar file with a checksum of every file.

``manifest.json`` has the format's version and the sha256 of every other file. Each run lies in
``runs/ID`` (``run.json``, ``metrics.jsonl``, ``artifacts/``), each logged model in ``models/ID``
(``model.json``, ``artifacts/``), and ``registry.json`` has the registered models.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from slicewise.dataset.archives import unpack_tar
from slicewise.errors import DataError
from slicewise.imaging.files import atomic_file, sha256_of, write_text

FORMAT = 1
MANIFEST, REGISTRY = "manifest.json", "registry.json"
RUNS, MODELS, ARTIFACTS = "runs", "models", "artifacts"
RUN, METRICS, MODEL = "run.json", "metrics.jsonl", "model.json"


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file of the package."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of an opened package, whose checksum was verified."""
    return json.loads(path.read_text(encoding="utf-8"))


def pack(folder: Path, file: Path) -> None:
    """Pack a folder into one file.

    Raises:
        OutputError: it cannot be written.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
    write_json(folder / MANIFEST, {"format": FORMAT, "sha256": digests})
    mode = "w:gz" if file.name.endswith("gz") else "w"
    with atomic_file(file) as temporary, tarfile.open(temporary, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder / MANIFEST, MANIFEST)
        for name in digests:
            archive.add(folder / name, name)


@contextmanager
def opened(file: Path) -> Iterator[Path]:
    """Unpack a package into a temporary folder, its checksums verified.

    Raises:
        DataError: no such file, not a package, a damaged one, members outside of its folder, or
            another format.
    """
    with TemporaryDirectory() as place:
        folder = Path(place) / "package"
        unpack_tar(file, folder)
        _verify(folder, file)
        try:
            yield folder
        except DataError as error:
            # The temporary folder is gone when somebody reads the message.
            raise DataError(
                error.where.replace(f"{folder}/", f"{file}: "),
                expected=error.expected,
                found=error.found,
                remedy=error.remedy,
            ) from None


def _verify(folder: Path, file: Path) -> None:
    try:
        manifest = read_json(folder / MANIFEST)
        version, digests = int(manifest["format"]), dict(manifest["sha256"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise _damaged(file, f"no {MANIFEST} that can be read") from error
    if version != FORMAT:
        raise DataError(
            file,
            expected=f"a package of format {FORMAT}",
            found=f"format {version}",
            remedy="import it with the version of slicewise that exported it, or a newer one",
        )
    present = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
    for name in sorted(present.keys() ^ digests.keys()):
        raise _damaged(file, f"{name}, {'missing' if name in digests else 'not in the manifest'}")
    for name, path in present.items():
        if sha256_of(path) != digests[name]:
            raise _damaged(file, f"{name} with another checksum")


def _damaged(file: Path, found: str) -> DataError:
    return DataError(
        file,
        expected="an intact file of `slicewise runs export`",
        found=found,
        remedy="copy it again, or export it again",
    )
