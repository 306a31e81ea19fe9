"""One classical baseline from slices to scores, tracked beside the networks that it measures."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from slicewise.cli.console import note, output, tracked
from slicewise.cli.fold_run import PICTURE, FoldCases, show_places, track_results
from slicewise.cli.model_folder import FINISHED
from slicewise.cli.run_folder import RUN_ID, remember_run
from slicewise.cli.scanning import pseudonyms_of
from slicewise.cli.steps import Evaluated, predict_and_score, prepared_slices
from slicewise.cli.tables import SET_ASIDE, report_set_aside, show_summary
from slicewise.config import FOLD_KINDS, Config, as_yaml, without_places
from slicewise.dataset.splits import choose_fold, make_folds, no_such_fold
from slicewise.dataset.worker_pool import default_workers
from slicewise.errors import DataError, OutputError
from slicewise.evaluation.baseline.segmenter import Baseline
from slicewise.evaluation.baseline.worker_pool import WorkerPool
from slicewise.evaluation.results import CONFIG, MASKS, REPORT, RESULTS, SCORES, write_results
from slicewise.evaluation.statistics import mean_dice_interval, summarize
from slicewise.imaging.files import write_text
from slicewise.segmentation.resuming import sole_user
from slicewise.tracking.runs import start_run
from slicewise.tracking.store import open_store

CHOICE = "baseline.json"
"""What the search chose, in words and in figures."""


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


def run_baseline(job: BaselineJob) -> int:
    """Fit, score, track and show a baseline; returns the exit code.

    Raises:
        OutputError: ``out`` holds a network, another baseline, or belongs to another process.
        DataError: no usable case on one side of the fold.
    """
    data = job.config.data
    if data.folds in FOLD_KINDS and job.fold >= data.fold_count:
        raise no_such_fold(job.fold, data.fold_count)
    require_no_network(job.out)
    with sole_user(job.out):
        _make_room(job.out, overwrite=job.overwrite)
        set_aside = _fit_and_score(job, _cases(job))
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
    for folder in (MASKS, REPORT):
        shutil.rmtree(out / folder, ignore_errors=True)


def _cases(job: BaselineJob) -> FoldCases:
    config = job.config
    catalogue, prepared = prepared_slices(config, job.work, job.workers)
    folds = make_folds(catalogue.labelled, config.data, prepared.structures_ml)
    fold = choose_fold(folds, job.fold)
    cases = FoldCases(fold, catalogue, prepared)
    cases.announce()
    sides = (("training", fold.train, cases.train), ("held-out", fold.val, cases.val))
    for name, names, usable in sides:
        if not usable:
            raise DataError(
                f"fold {fold.number}",
                expected=f"at least one usable {name} case",
                found=f"none of {len(names)}",
                remedy="see what was set aside, or choose another fold",
            )
    return cases


def _fit_and_score(job: BaselineJob, cases: FoldCases) -> bool:
    """Everything from fitting to the files; returns whether a case was set aside."""
    config, fold, out = job.config, cases.fold, job.out
    tags = {"slicewise.folds": fold.kind, "slicewise.kind": "baseline"}
    name = f"baseline fold {fold.number}, {config.name}"
    run = start_run(
        open_store(job.work, must_answer=False), config, name, fold=fold.number, tags=tags
    )
    remember_run(job.work, run.run_id, out, config)
    write_text(out / CONFIG, as_yaml(without_places(config)))
    with run:
        cases.track(run, config.name)
        begun = time.monotonic()
        baseline = _fitted(job, cases)
        seconds = time.monotonic() - begun
        write_text(out / CHOICE, json.dumps(_choice(baseline), indent=2) + "\n")
        note(f"fitted in {seconds / 60:.1f} min")
        names = pseudonyms_of(job.work)
        evaluated = predict_and_score(baseline, cases.held_out, out / MASKS, names)
        report_set_aside(evaluated.set_aside)
        facts = cases.facts(config, "baseline", evaluated, seconds)
        write_results(out, facts, evaluated.scores, evaluated.reliability)
        track_results(run, 0, config, cases, evaluated, out, [CHOICE])
    _show(job, cases, baseline, evaluated, run.run_id)
    return bool(cases.prepared.set_aside or evaluated.set_aside)


def _fitted(job: BaselineJob, cases: FoldCases) -> Baseline:
    """A baseline that has seen the training side alone."""
    training = [(cached, cases.source(cached)) for cached in cases.train]
    with tempfile.TemporaryDirectory() as folder:
        workforce = WorkerPool(job.workers or default_workers(), Path(folder), tracked)
        baseline = Baseline.fitted(training, job.config, workforce)
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


def _show(
    job: BaselineJob, cases: FoldCases, baseline: Baseline, evaluated: Evaluated, run_id: str
) -> None:
    scores, fold = evaluated.scores, cases.fold
    title = f"Classical baseline, held-out cases of fold {fold.number} ({fold.kind})"
    show_summary(title, summarize(scores), mean_dice_interval(scores))
    searched = f"{baseline.searched_cases} of {len(cases.train)} training cases"
    output.print(f"chosen on {searched}:", markup=False, soft_wrap=True)
    show_places(baseline.words())
    show_places(
        {
            "results": job.out,
            "masks": job.out / MASKS,
            "scores": job.out / SCORES,
            "picture": job.out / PICTURE,
            "run": run_id,
        }
    )
