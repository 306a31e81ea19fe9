"""Writes the reference pages from the code: commands, keys of a configuration, Python API."""

from __future__ import annotations

from pathlib import Path

from api_page import api_page
from commands_page import commands_page
from configuration_page import configuration_page


def write_pages(folder: Path) -> None:
    """Write all generated pages into a folder.

    Raises:
        SphinxError: a command, an option, a key or a public name is without its sentence.
    """
    folder.mkdir(exist_ok=True)
    pages = {
        "commands": commands_page(),
        "configuration": configuration_page(),
        "api": api_page(),
    }
    for name, text in pages.items():
        path = folder / f"{name}.md"
        # Sphinx reads again only what changed.
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
