"""The examples in the docstrings of the public functions, run one after the other in one folder."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import slicewise

# Later examples use what earlier ones have left.
ORDER = (
    *("read_scan", "read_mask", "check", "convert", "plan", "prepare", "train", "load_model"),
    *("Model", "write_mask", "predict", "evaluate", "fit_baseline", "compare", "report", "view"),
    *("list_models", "make_demo_data"),
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_examples_do_what_they_say(
    example_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(example_folder)
    finder = doctest.DocTestFinder(recurse=True, exclude_empty=True)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    report: list[str] = []
    for name in ORDER:
        found = getattr(slicewise, name)
        tests = [test for test in finder.find(found, name) if test.examples]
        assert tests, f"{name} has no example"
        for test in tests:
            test.globs = {"slicewise": slicewise}
            runner = doctest.DocTestRunner(optionflags=options, verbose=False)
            runner.run(test, out=report.append)
    assert not report, "\n".join(report)
    printed = capfd.readouterr()
    assert printed.out == ""


def test_every_public_function_with_an_example_is_run() -> None:
    # The demo has a test of its own.
    functions = {name for name in slicewise.__all__ if name[0].islower()}
    assert functions - {"run_demo"} <= set(ORDER)


def test_a_missing_folder_and_a_wrong_key_are_named_errors(tmp_path: Path) -> None:
    with pytest.raises(slicewise.SlicewiseError, match="nowhere"):
        slicewise.check(tmp_path / "nowhere", work=tmp_path / "work")
    with pytest.raises(slicewise.SlicewiseError, match=r"nothing\.yaml"):
        slicewise.train(tmp_path / "nothing.yaml")
    config = slicewise.Config.defaults("mine", labels={"core": 1})
    with pytest.raises(slicewise.SlicewiseError, match=r"training\.stepz"):
        slicewise.train(config, settings=["training.stepz=3"])
    with pytest.raises(slicewise.SlicewiseError, match="nowhere"):
        slicewise.load_model(tmp_path / "nowhere", work=tmp_path / "work")


def test_values_that_no_use_case_takes_are_named_errors(tmp_path: Path) -> None:
    config, work = slicewise.Config.defaults("mine", labels={"core": 1}), tmp_path / "work"
    with pytest.raises(slicewise.SlicewiseError, match="`model`"):
        slicewise.load_model(work=work)
    with pytest.raises(slicewise.SlicewiseError, match="`fold` -1"):
        slicewise.train(config, fold=-1, work=work)
    with pytest.raises(slicewise.SlicewiseError, match="`budget_minutes`"):
        slicewise.plan(tmp_path / "scans", "mine.yaml", budget_minutes=0, work=work)
    with pytest.raises(slicewise.SlicewiseError, match="`subjects`"):
        slicewise.make_demo_data(tmp_path / "cohort", subjects=0)
    with pytest.raises(slicewise.SlicewiseError, match="`subjects`"):
        slicewise.run_demo(work=work, subjects=3)
    assert not work.exists()
