"""A configuration and its variants in, a trained and scored model of each and a table out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.progress import Progress, TaskID

from slicewise.cli.ablation_variants import BASE, Variants
from slicewise.cli.bridge import prepared_slices, pseudonyms_of, report_set_aside
from slicewise.cli.console import figure, note, output, progress_bar, show_table
from slicewise.config import Config, as_yaml, load_config, without_places
from slicewise.dataset.cache import CachedCase, Prepared
from slicewise.dataset.catalogue import Case, Catalogue
from slicewise.dataset.splits import Fold, choose_fold, make_folds
from slicewise.errors import UsageError
from slicewise.evaluation.ablation import AblationRow, Variant, ablation_rows, write_ablation
from slicewise.evaluation.predict_and_score import predict_and_score
from slicewise.evaluation.results import CONFIG, MASKS, SCORES
from slicewise.evaluation.scores import Score, read_scores, write_scores
from slicewise.imaging.files import private_folder, write_text
from slicewise.segmentation.budget import plan_run
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.resuming import sole_user
from slicewise.segmentation.training import Training
from slicewise.segmentation.validation import ValidationScore

_FINISHED = "finished.json"
_WHO_IS_HELD_OUT = (
    *("root", "layout", "images", "labels_folder", "allow_unpaired"),
    *("patient_pattern", "scans_per_patient", "site_pattern"),
    *("folds", "fold_count", "fold_seed"),
)
"""Keys of the section data that a variant cannot change: it might learn from the unseen cases."""


@dataclass(frozen=True)
class AblationJob:
    """What is to be compared.

    Attributes:
        config_file: of the base.
        overrides: of all variants.
        variants: beside the base.
        out: folder of results; each training has a folder of its own below.
        folds: number of the fold whose held-out cases stay unseen, and of the inner fold.
        seeds: trainings of each variant.
    """

    config_file: Path
    overrides: tuple[str, ...]
    variants: Variants
    out: Path
    folds: tuple[int, int]
    seeds: int

    def config(self, variant: str, seed: int) -> Config:
        """The configuration of one training."""
        changes = self.variants.changes[variant]
        config = load_config(self.config_file, [*self.overrides, *changes])
        return config.model_copy(update={"seed": config.seed + seed})


def run_ablation(job: AblationJob, work: Path, workers: int | None) -> list[AblationRow]:
    """Train what is not trained yet, score it, compare it with the base, print and write a table.

    Raises:
        UsageError: no such fold, or a variant with other folds.
        SlicewiseError: a change that the configuration refuses; all are checked before the first
            training.
    """
    configs = {
        (name, seed): job.config(name, seed)
        for seed in range(job.seeds)
        for name in job.variants.changes
    }
    for (name, _), config in configs.items():
        _require_same_folds(name, config, configs[BASE, 0])
    private_folder(job.out)
    data = _Data(job, work, workers)
    for (name, seed), config in configs.items():
        _train(config, _folder(job, name, seed), data)
    for name, members in job.variants.ensembles.items():
        for seed in range(job.seeds):
            _combine(data, name, members, seed)
    names = (*job.variants.changes, *job.variants.ensembles)
    rows = ablation_rows(BASE, {name: _measured(job, name) for name in names})
    write_ablation(rows, job.out / "ablation.csv")
    _show(rows)
    output.print(f"table: {job.out / 'ablation.csv'}", markup=False, soft_wrap=True)
    return rows


def inner_fold(
    catalogue: Catalogue, prepared: Prepared, config: Config, numbers: tuple[int, int]
) -> Fold:
    """One division by patient of the training cases of a fold.

    Args:
        catalogue: the whole data set.
        prepared: volumes of its structures, for folds that are stratified by them.
        config: says how its folds are made.
        numbers: of the fold, and of the division of its training cases.

    Raises:
        UsageError: there is no such fold.
        DataError: too few patients.
    """
    volumes_ml = prepared.structures_ml
    outer = choose_fold(make_folds(catalogue.labelled, config.data, volumes_ml), numbers[0])
    learned_from = set(outer.train)
    inside = [case for case in catalogue.labelled if case.name in learned_from]
    data = config.data.model_copy(update={"folds": "patient"})
    return choose_fold(make_folds(inside, data, volumes_ml), numbers[1])


@dataclass(frozen=True)
class _Bar:
    """Moves a bar; an ablation has no tracked run."""

    bar: Progress
    task: TaskID

    def on_step(self, step: int, values: dict[str, float]) -> None:
        """A step has been taken."""
        self.bar.update(self.task, completed=step, detail=f"loss {values['loss']:.3f}")

    def on_validation(self, step: int, score: ValidationScore) -> None:
        """Scores come at the end, on the scans' own grids."""


def _folder(job: AblationJob, name: str, seed: int) -> Path:
    return job.out / name / f"seed-{seed}"


@dataclass(frozen=True)
class _Data:
    """Finds the cases of a training; what variants share is prepared once."""

    job: AblationJob
    work: Path
    workers: int | None
    known: dict[str, tuple[Catalogue, Prepared]] = field(default_factory=dict)

    def split(self, config: Config) -> _Split:
        """Both sides of the inner fold, with the preprocessing of a variant."""
        same = repr((config.data, config.reading, config.structures, config.preprocessing))
        if same not in self.known:
            self.known[same] = prepared_slices(config, self.work, self.workers)
        catalogue, prepared = self.known[same]
        fold = inner_fold(catalogue, prepared, config, self.job.folds)
        return _Split(
            fold.number,
            prepared.chosen(fold.train),
            prepared.chosen(fold.val),
            [catalogue.case(case.name) for case in prepared.chosen(fold.val)],
        )

    def score(self, predictor: Predictor, split: _Split, folder: Path) -> None:
        """Predict what is held out, and write the scores into the folder of a training."""
        pseudonyms = pseudonyms_of(self.work)
        evaluated = predict_and_score(predictor, split.sources, folder / MASKS, pseudonyms)
        report_set_aside(evaluated.set_aside)
        write_scores(evaluated.scores, folder / SCORES)


@dataclass(frozen=True)
class _Split:
    """The inner fold: its number, the usable cases of both sides, where held-out scans lie."""

    number: int
    train: list[CachedCase]
    held_out: list[CachedCase]
    sources: list[Case]

    def key(self, config: Config) -> str:
        """Stands for a configuration and all the data that its training depends on."""
        cases = [f"{case.name} {case.key}" for case in (*self.train, *self.held_out)]
        known = [as_yaml(without_places(config)), *cases]
        return hashlib.sha256("\n".join(known).encode()).hexdigest()


def _train(config: Config, folder: Path, data: _Data) -> None:
    config = _without_validations(config)
    split = data.split(config)
    key = split.key(config)
    if _is_finished(folder, key):
        return
    note(f"{folder.parent.name}, {folder.name}")
    with sole_user(folder):
        (folder / _FINISHED).unlink(missing_ok=True)
        plan = plan_run(config, split.train, ())
        write_text(folder / CONFIG, as_yaml(without_places(plan.config)))
        training = Training(plan.config, split.train, (), str(split.number))
        started = time.process_time()
        with progress_bar() as bar:
            task = bar.add_task("training", total=plan.config.training.steps, detail="")
            training.run(folder, _Bar(bar, task))
        training.save(folder / "last.pt")
        cpu_seconds = time.process_time() - started
        data.score(Predictor.from_checkpoint(folder / "last.pt"), split, folder)
        facts = {"key": key, "cpu_seconds": cpu_seconds, "steps": training.progress.step}
        write_text(folder / _FINISHED, json.dumps(facts) + "\n")


def _combine(data: _Data, name: str, members: Sequence[str], seed: int) -> None:
    folder = _folder(data.job, name, seed)
    trained = [_folder(data.job, member, seed) for member in members]
    facts = [json.loads((item / _FINISHED).read_text()) for item in trained]
    key = hashlib.sha256("".join(item["key"] for item in facts).encode()).hexdigest()
    if _is_finished(folder, key):
        return
    note(f"{name}, {folder.name}")
    with sole_user(folder):
        predictor = Predictor.from_checkpoint(*(item / "last.pt" for item in trained))
        data.score(predictor, data.split(data.job.config(members[0], seed)), folder)
        together = {"key": key, "cpu_seconds": sum(item["cpu_seconds"] for item in facts)}
        write_text(folder / _FINISHED, json.dumps(together) + "\n")


def _measured(job: AblationJob, name: str) -> Variant:
    folders = [_folder(job, name, seed) for seed in range(job.seeds)]
    scores: list[Score] = [score for folder in folders for score in read_scores(folder / SCORES)]
    seconds = [json.loads((item / _FINISHED).read_text())["cpu_seconds"] for item in folders]
    members = job.variants.ensembles.get(name)
    changes = job.variants.changes[name] if members is None else members
    return Variant(changes, scores, len(folders), float(np.mean(seconds)))


def _show(rows: Sequence[AblationRow]) -> None:
    show_table(
        "Inner held-out cases: difference of the mean Dice to the base [95 %]",
        ("variant", "Dice", "difference", "p", "processor time"),
        [
            (
                row.variant,
                figure(row.dice),
                f"{row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}]"
                if row.variant != BASE
                else "",
                figure(row.p_corrected) if row.variant != BASE else "",
                f"{row.cpu_ratio:.2f} x",
            )
            for row in rows
        ],
    )


def _without_validations(config: Config) -> Config:
    """What is held out is scored once, at the end."""
    training = config.training.model_copy(
        update={"validations": 1, "patience": None, "keep": "last"}
    )
    return config.model_copy(update={"training": training})


def _require_same_folds(name: str, config: Config, base: Config) -> None:
    """Refuse a variant that might learn from what the base does not."""
    for key in _WHO_IS_HELD_OUT:
        wanted, found = getattr(base.data, key), getattr(config.data, key)
        if found != wanted:
            raise UsageError(
                f"variant {name}",
                expected=f"data.{key}: {wanted}, as all others: they are compared case by case",
                found=str(found),
                remedy=f"leave it out; --set data.{key} changes it for all",
            )


def _is_finished(folder: Path, key: str) -> bool:
    """Whether exactly this training came to its end here before."""
    try:
        known = json.loads((folder / _FINISHED).read_text())["key"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(known == key)
