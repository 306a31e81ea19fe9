"""The notebooks run one after the other, show pictures, and hold no output in git."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "01_quickstart",
        "02_your_own_data",
        "03_reading_results",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped_and_nothing_is_defined(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    assert all(not cell.get("outputs") for cell in cells)
    for cell in cells:
        if cell["cell_type"] == "code":
            defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
            code = ast.parse("".join(cell["source"]))
            assert not any(isinstance(node, defined) for node in ast.walk(code))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_notebooks_run_in_their_order(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=600, resources=resources).execute()
        outputs = [item for cell in notebook.cells for item in cell.get("outputs", [])]
        shown = [item.get("data", {}) for item in outputs]
        assert any("image/png" in data for data in shown), path.stem
        pages = [_address(data) for data in shown if "<iframe" in str(data.get("text/html"))]
        assert pages, path.stem
        assert all((folder / page).is_file() for page in pages)


def _address(data: dict[str, Any]) -> str:
    """What an output's frame shows."""
    return str(data["text/html"]).partition('src="')[2].partition('"')[0]
