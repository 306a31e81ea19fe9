"""The NiiVue renderer, as the installed nilearn brings it."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from slicewise.errors import SlicewiseError

_SCRIPT = "nilearn/_assets/js/niivue.umd.js"
_VERSION = re.compile(r'\{version:"(\d+\.\d+\.\d+)"\}')


@cache
def niivue_script() -> str:
    """NiiVue as one classic script that defines ``niivue``.

    It is read where nilearn brings it, so that nothing of it is copied into this package.

    Raises:
        SlicewiseError: this nilearn has no such file, or another one in its place.
    """
    nilearn = distribution("nilearn")
    path = Path(str(nilearn.locate_file(_SCRIPT)))
    script = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not _VERSION.search(script) or "</script" in script.lower():
        raise SlicewiseError(
            path,
            expected="the viewer NiiVue, which nilearn 0.14 brings",
            found=f"no viewer in nilearn {nilearn.version}",
            remedy="install a tested version: pip install 'nilearn>=0.14,<0.15'",
        )
    return script


def niivue_version() -> str:
    """Version of NiiVue, such as 0.68.1."""
    found = _VERSION.search(niivue_script())
    assert found is not None
    return found[1]
