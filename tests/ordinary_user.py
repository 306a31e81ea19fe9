"""A user whom the file system refuses what it would not refuse to root."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def ordinary_user() -> Iterator[Path]:
    """A folder in which the file system refuses what it would not refuse to root."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        is_root = os.geteuid() == 0
        try:
            if is_root:
                os.chown(folder, NOBODY, NOBODY)
                os.seteuid(NOBODY)
            yield folder
        finally:
            if is_root:
                os.seteuid(0)
