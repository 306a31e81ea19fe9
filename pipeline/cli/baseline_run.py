"""One classical baseline from slices to scores, tracked beside the networks that it measures."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline import __version__
from pipeline.cli.console import note, output, tracked
from pipeline.cli.model_folder import FINISHED
from pipeline.cli.run_folder import RUN_ID, remember_run
from pipeline.cli.scanning import pseudonyms_of
from pipeline.cli.steps import Evaluated, examples, predict_and_score, prepared_slices
from pipeline.cli.tables import SET_ASIDE, report_set_aside, show_summary
from pipeline.config import Config, as_yaml, without_places
from pipeline.dataset.cache import CachedCase, Prepared
from pipeline.dataset.catalogue import Case, Catalogue
from pipeline.dataset.splits import Fold, choose_fold, make_folds, no_such_fold, shared_patients
from pipeline.dataset.workers import default_workers
from pipeline.errors import DataError, OutputError
from pipeline.evaluation.baseline.segmenter import Baseline
from pipeline.evaluation.baseline.workforce import Workforce
from pipeline.evaluation.results import CONFIG, MASKS, RESULTS, SCORES, RunFacts, write_results
from pipeline.evaluation.statistics import final_metrics, mean_dice_interval, summarize
from pipeline.imaging.files import write_text
from pipeline.reporting.pictures import draw_examples
from pipeline.segmentation.resuming import sole_user
from pipeline.tracking.runs import TrackedRun, start_run
from pipeline.tracking.store import open_store

CHOICE = "baseline.json"
"""What the search chose, in words and in figures."""
PICTURE = "examples.png"


@dataclass(frozen=True)
class BaselineJob:
    """What is asked for.

    Attributes:
        config: contrasts, structures, preprocessing and folds; its network is not used.
        fold: number of the fold that is held out.
        out: folder of the results.
        work: place of slice cache, store and private things.
        workers: processes; None takes as many as there are cores.
        overwrite: replace a baseline that lies in ``out``.
    """

    config: Config
    fold: int
    out: Path
    work: Path
    workers: int | None
    overwrite: bool


@dataclass(frozen=True)
class _Sides:
    """The usable cases of a fold."""

    fold: Fold
    catalogue: Catalogue
    prepared: Prepared
    train: list[CachedCase]
    val: list[CachedCase]

    def case(self, cached: CachedCase) -> Case:
        return self.catalogue.case(cached.name)


def run_baseline(job: BaselineJob) -> int:
    """Fit, score, track and show a baseline; returns the exit code.

    Raises:
        OutputError: ``out`` holds a network, another baseline, or belongs to another process.
        DataError: no usable case on one side of the fold.
    """
    data = job.config.data
    if data.folds in ("patient", "published") and job.fold >= data.fold_count:
        raise no_such_fold(job.fold, data.fold_count)
    require_no_network(job.out)
    with sole_user(job.out):
        _make_room(job.out, overwrite=job.overwrite)
        sides = _sides(job)
        set_aside = _fit_and_score(job, sides)
    return SET_ASIDE if set_aside else 0


def require_no_network(out: Path) -> None:
    """Refuse the folder of a training.

    Raises:
        OutputError: a network lies there.
    """
    networks = [out / name for name in ("last.pt", FINISHED)] + sorted(out.glob("fold-*/last.pt"))
    for path in networks:
        if path.exists():
            raise OutputError(
                out,
                expected="a folder without a network",
                found=f"{path.relative_to(out)} of a training",
                remedy="choose another --out; a baseline never replaces a training",
            )


def _make_room(out: Path, *, overwrite: bool) -> None:
    if (out / CHOICE).exists() and not overwrite:
        raise OutputError(
            out,
            expected="a folder without a baseline",
            found=f"{CHOICE} of an earlier one",
            remedy="replace it with --overwrite, or choose another --out",
        )
    for name in (CHOICE, CONFIG, RUN_ID, SCORES, RESULTS, PICTURE):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / MASKS, ignore_errors=True)


def _sides(job: BaselineJob) -> _Sides:
    config = job.config
    catalogue, prepared = prepared_slices(config, job.work, job.workers)
    fold = choose_fold(make_folds(catalogue.labelled, config.data), job.fold)
    train, val = prepared.chosen(fold.train), prepared.chosen(fold.val)
    note(f"fold {fold.number} ({fold.kind}): {len(train)} training, {len(val)} held out")
    for name, names, usable in (("training", fold.train, train), ("held-out", fold.val, val)):
        if not usable:
            raise DataError(
                f"fold {fold.number}",
                expected=f"at least one usable {name} case",
                found=f"none of {len(names)}",
                remedy="see what was set aside, or choose another fold",
            )
    sides = _Sides(fold, catalogue, prepared, train, val)
    if shared := _shared(sides):
        note(f"{shared} patients on both sides, so the score flatters")
    return sides


def _fit_and_score(job: BaselineJob, sides: _Sides) -> bool:
    """Everything from fitting to the files; returns whether a case was set aside."""
    config, fold, out = job.config, sides.fold, job.out
    tags = {"slicewise.folds": fold.kind, "slicewise.kind": "baseline"}
    name = f"{config.name} baseline fold {fold.number}"
    run = start_run(open_store(job.work), config, name, fold=fold.number, tags=tags)
    remember_run(job.work, run.run_id, out, config)
    write_text(out / CONFIG, as_yaml(without_places(config)))
    with run:
        run.log_cases("training", {case.name: case.key for case in sides.train}, config.name)
        run.log_cases("validation", {case.name: case.key for case in sides.val}, config.name)
        begun = time.monotonic()
        baseline = _fitted(job, sides)
        seconds = time.monotonic() - begun
        write_text(out / CHOICE, json.dumps(_choice(baseline), indent=2) + "\n")
        note(f"fitted in {seconds / 60:.1f} min")
        held_out = [sides.case(cached) for cached in sides.val]
        evaluated = predict_and_score(baseline, held_out, out / MASKS, pseudonyms_of(job.work))
        report_set_aside(evaluated.set_aside)
        facts = _facts(job, sides, evaluated, seconds)
        write_results(out, facts, evaluated.scores, evaluated.reliability)
        _track(job, run, evaluated, held_out)
    _show(job, sides, baseline, evaluated, run.run_id)
    return bool(sides.prepared.set_aside or evaluated.set_aside)


def _fitted(job: BaselineJob, sides: _Sides) -> Baseline:
    """A baseline that has seen the training side alone."""
    cases = [(cached, sides.case(cached)) for cached in sides.train]
    with tempfile.TemporaryDirectory() as folder:
        workforce = Workforce(job.workers or default_workers(), Path(folder), tracked)
        baseline = Baseline.fitted(cases, job.config, workforce)
    if baseline.is_of_one_patient:
        note("one training patient only: the choice is made on the labels that made the prior")
    return baseline


def _choice(baseline: Baseline) -> dict[str, object]:
    words = baseline.words()
    return {
        "searched_cases": baseline.searched_cases,
        "judged_by_other_patients": not baseline.is_of_one_patient,
        "structures": {
            name: {"words": words[name], **({} if recipe is None else asdict(recipe))}
            for name, recipe in zip(words, baseline.recipes, strict=True)
        },
    }


def _shared(sides: _Sides) -> int:
    cases = [sides.catalogue.case(name) for name in (*sides.fold.train, *sides.fold.val)]
    return len(shared_patients(sides.fold, cases))


def _facts(job: BaselineJob, sides: _Sides, evaluated: Evaluated, seconds: float) -> RunFacts:
    lost = [*sides.prepared.set_aside, *evaluated.set_aside]
    return RunFacts(
        name=job.config.name,
        kind="baseline",
        fold=sides.fold.number,
        folds=sides.fold.kind,
        training_cases=len(sides.train),
        training_patients=len({case.patient for case in sides.train}),
        training_slices=sum(len(case.image) for case in sides.train),
        validation_cases=len(sides.val),
        validation_patients=len({case.patient for case in sides.val}),
        shared_patients=_shared(sides),
        set_aside={item.name: item.reason for item in lost},
        seconds=seconds,
        version=__version__,
        date=datetime.now(tz=UTC).date().isoformat(),
    )


def _track(
    job: BaselineJob, run: TrackedRun, evaluated: Evaluated, held_out: Sequence[Case]
) -> None:
    config, out = job.config, job.out
    run.log_metrics(0, final_metrics(summarize(evaluated.scores)))
    if shown := examples(held_out, evaluated.scores, out / MASKS, config):
        title = (
            f"{config.name} baseline, fold {job.fold}: held-out cases from the worst to the best"
        )
        draw_examples(shown, config.data.labels, out / PICTURE, title)
        run.log_figure(out / PICTURE)
    for name in (CONFIG, SCORES, RESULTS, CHOICE):
        run.log_artifact(out / name)


def _show(
    job: BaselineJob, sides: _Sides, baseline: Baseline, evaluated: Evaluated, run_id: str
) -> None:
    scores, fold = evaluated.scores, sides.fold
    title = f"Classical baseline, held-out cases of fold {fold.number} ({fold.kind})"
    show_summary(title, summarize(scores), mean_dice_interval(scores))
    searched = f"{baseline.searched_cases} of {len(sides.train)} training cases"
    output.print(f"chosen on {searched}:", markup=False, soft_wrap=True)
    for name, words in baseline.words().items():
        output.print(f"{name:>10}: {words}", markup=False, soft_wrap=True)
    lines = {
        "results": job.out,
        "masks": job.out / MASKS,
        "scores": job.out / SCORES,
        "picture": job.out / PICTURE,
        "run": run_id,
    }
    for name, place in lines.items():
        output.print(f"{name:>10}: {place}", markup=False, soft_wrap=True)
