"""What ``import slicewise`` promises, and what it costs."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import slicewise
from slicewise import errors

PROMISED = {
    *("check", "plan", "prepare", "train", "predict", "evaluate", "compare", "report", "view"),
    *("convert", "fit_baseline", "run_demo", "make_demo_data", "list_models"),
    *("load_model", "read_scan", "read_mask", "write_mask"),
    *("Config", "ConsoleProgress", "Model", "Prediction", "Progress", "SlicewiseError", "Volume"),
}


def test_the_public_names_are_these() -> None:
    assert set(slicewise.__all__) == PROMISED
    assert slicewise.__all__ == sorted(slicewise.__all__)
    assert set(dir(slicewise)) >= PROMISED


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_each_is_there_and_documented(name: str) -> None:
    found = getattr(slicewise, name)
    text = inspect.getdoc(found)
    assert text
    if inspect.isfunction(found):
        hints = inspect.get_annotations(found)
        assert set(inspect.signature(found).parameters) <= set(hints), "every parameter is typed"
        for part in ("Args:", "Raises:", "Example:"):
            assert part in text, f"{name} has no {part}"


def test_another_name_is_none() -> None:
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        slicewise.segment  # noqa: B018


def run(code: str) -> subprocess.CompletedProcess[str]:
    source = str(Path(slicewise.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": source},
        timeout=120,
    )


def test_importing_loads_nothing_heavy() -> None:
    done = run(
        """
        import sys, slicewise
        heavy = {"torch", "monai", "mlflow", "pandas", "numpy", "rich", "typer", "nibabel"}
        print(sorted(heavy & set(sys.modules)))
        """
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_what_needs_no_network_loads_none() -> None:
    done = run(
        """
        import sys, slicewise
        for name in ("check", "convert", "evaluate", "read_scan", "view"):
            getattr(slicewise, name)
        print(sorted({"torch", "monai", "mlflow"} & set(sys.modules)))
        """
    )
    assert done.stdout.strip() == "[]", done.stderr


def without(package: str) -> str:
    """Code after which a package cannot be imported."""
    return f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "{package}":
            raise ModuleNotFoundError("No module named '{package}'", name="{package}")

sys.meta_path.insert(0, Missing())
"""


def test_only_the_baseline_needs_opencv() -> None:
    done = run(
        without("cv2")
        + textwrap.dedent(
            """
            import slicewise
            print(slicewise.train.__name__)
            try:
                slicewise.fit_baseline
            except slicewise.SlicewiseError as error:
                print(error)
            """
        )
    )
    assert done.stdout.startswith("train"), done.stderr
    assert "pip install 'slicewise[baseline]'" in done.stdout


def test_without_torch_the_error_says_what_to_install() -> None:
    done = run(
        without("torch")
        + textwrap.dedent(
            """
            import slicewise
            try:
                slicewise.train
            except slicewise.SlicewiseError as error:
                print(error)
            """
        )
    )
    assert "pip install torch" in done.stdout, done.stderr
    assert "the package torch" in done.stdout
    assert not done.stderr


def test_the_command_without_torch_shows_no_traceback(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("name: mine\ndata: {labels: {core: 1}}\ntraining: {steps: 1}\n")
    done = run(
        without("torch")
        + textwrap.dedent(
            f"""
            sys.argv = ["slicewise", "train", {str(config)!r}]
            from slicewise.cli.main import main
            main()
            """
        )
    )
    assert done.returncode == 1
    assert "pip install torch" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_package_is_an_import_error() -> None:
    error = errors.missing_package("slicewise.train", ModuleNotFoundError(name="monai.data"))
    assert isinstance(error, ImportError)
    assert isinstance(error, errors.SlicewiseError)
    assert "the package monai" in str(error)
