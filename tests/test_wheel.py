"""The wheel installs one package with all its files, and works where nothing else of ours lies."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import slicewise

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipeline" / "slicewise"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel, and borrows what the wheel needs."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip("--python", python, "install", "--no-deps", "--no-index", wheel)
    (site,) = folder.glob("lib/python*/site-packages")
    # Packages are found there, but not what is installed there by reference, such as our sources.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def output(folder: Path, *command: str | Path) -> str:
    done = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_the_package_with_all_its_files_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "slicewise",
        f"slicewise-{slicewise.__version__}.dist-info",
    }
    expected = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {name for name in names if name.startswith("slicewise/")} == expected
    suffixes = {Path(name).suffix for name in expected}
    assert {".py", ".yaml", ".j2", ".css", ".js", ".txt", ".typed"} <= suffixes


def test_it_is_imported_from_where_it_was_installed(fresh: Path, tmp_path: Path) -> None:
    program = "import slicewise; print(slicewise.__version__, slicewise.__file__)"
    version, path = output(tmp_path, fresh / "python", "-c", program).split()
    assert version == slicewise.__version__
    assert Path(path).is_relative_to(fresh.parent)


def test_its_command_answers(fresh: Path, tmp_path: Path) -> None:
    assert "Usage: slicewise" in output(tmp_path, fresh / "slicewise", "--help")
    assert output(tmp_path, fresh / "python", "-m", "slicewise", "--version") == (
        f"slicewise {slicewise.__version__}\n"
    )
