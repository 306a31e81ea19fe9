"""Use cases print nothing: what they have to tell are results and progress.

A use case joins by a function below: it takes ``Place`` and is found by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from slicewise.config import Config, load_config


@dataclass(frozen=True)
class Place:
    """What a use case may need.

    Attributes:
        scans: labelled scans of six patients.
        config: that trains on them in a second.
        model: folder of a training.
        work: of that training.
        out: an empty folder.
    """

    scans: Path
    config: Config
    model: Path
    work: Path
    out: Path


def check(place: Place) -> None:
    from slicewise.workflows.check import CheckOptions, check

    html, json = place.out / "check.html", place.out / "check.json"
    check(CheckOptions(place.scans, place.config, html, json, place.work))


def convert(place: Place) -> None:
    from slicewise.workflows.convert import ConvertOptions, convert

    table = place.out / "table.json"
    convert(ConvertOptions(place.scans, place.out / "nifti", json=table, work=place.work))


def plan(place: Place) -> None:
    from slicewise.workflows.plan import PlanOptions, plan

    settings = ("network.features=[4, 8]",)
    plan(PlanOptions(place.scans, place.out / "plan.yaml", 1, settings, work=place.work))


def view(place: Place) -> None:
    from slicewise.workflows.view import ViewOptions, view

    scan, label = (place.scans / folder / "case0.nii.gz" for folder in ("images", "labels"))
    view(ViewOptions(scan, {"reference": label}, place.out / "view.html", work=place.work))


def draw_figures(place: Place) -> None:
    from slicewise.workflows.figures import FiguresOptions, draw_figures
    from slicewise.workflows.models import ModelOptions

    scan = place.scans / "images" / "case0.nii.gz"
    draw_figures(FiguresOptions(ModelOptions(str(place.model), work=place.work), scan, place.out))


def describe(place: Place) -> None:
    from slicewise.workflows.describe import DescribeOptions, describe

    describe(DescribeOptions(place.config, place.out / "network.svg"))


def make_demo_data(place: Place) -> None:
    from slicewise.workflows.data import DemoDataOptions, make_demo_data

    make_demo_data(DemoDataOptions(place.out / "cohort", subjects=3))


def train(place: Place) -> None:
    from slicewise.workflows.train import TrainOptions, train

    train(TrainOptions(place.config, out=place.out / "model", work=place.out / "work"))


def predict(place: Place) -> None:
    from slicewise.workflows.models import ModelOptions
    from slicewise.workflows.predict import PredictOptions, predict

    model = ModelOptions(str(place.model), work=place.work)
    predict(PredictOptions(model, place.scans / "images", place.out))


def evaluate(place: Place) -> None:
    from slicewise.workflows.evaluate import EvaluateOptions, evaluate

    masks = place.model / "masks"
    table = place.out / "scores.csv"
    evaluate(EvaluateOptions(masks, place.scans / "labels", table, place.config))


def compare(place: Place) -> None:
    from slicewise.workflows.compare import CompareOptions, compare

    compare(CompareOptions(place.model, place.model / "scores.csv", out=place.out, work=place.work))


def report(place: Place) -> None:
    from slicewise.workflows.report import ReportOptions, report

    out = place.out / "report"
    options = ReportOptions(
        place.model, out, against=place.model, viewer=False, attach=True, work=place.work
    )
    report(options)


USE_CASES: tuple[Callable[[Place], None], ...] = (
    *(check, plan, convert, view, describe, draw_figures, make_demo_data),
    *(train, predict, evaluate, compare, report),
)


@pytest.mark.parametrize("use_case", USE_CASES, ids=lambda function: function.__name__)
def test_nothing_is_printed(
    use_case: Callable[[Place], None],
    scans: Path,
    tiny: Path,
    model: Path,
    work: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    capfd.readouterr()
    config = load_config(tiny, [f"data.root={scans}"])
    use_case(Place(scans, config, model, work, tmp_path))
    assert capfd.readouterr() == ("", "")
