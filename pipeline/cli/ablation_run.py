"""A configuration and its variants in, a trained and scored model of each and a table out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from rich.progress import Progress, TaskID

from pipeline.cli.console import figure, note, output, progress_bar, show_table
from pipeline.cli.scanning import pseudonyms_of
from pipeline.cli.steps import predict_and_score, prepared_slices
from pipeline.config import Config, as_yaml, load_config, without_places
from pipeline.dataset.cache import Prepared
from pipeline.dataset.catalogue import Catalogue
from pipeline.dataset.splits import Fold, choose_fold, make_folds
from pipeline.errors import ConfigError, file_problem
from pipeline.evaluation.ablation import AblationRow, Variant, ablation_rows, write_ablation
from pipeline.evaluation.results import CONFIG, MASKS, SCORES
from pipeline.evaluation.scores import Score, read_scores, write_scores
from pipeline.imaging.files import private_folder, write_text
from pipeline.segmentation.budget import plan_run
from pipeline.segmentation.inference import Predictor
from pipeline.segmentation.resuming import sole_user
from pipeline.segmentation.training import Training
from pipeline.segmentation.validation import ValidationScore

BASE = "base"
_FINISHED = "finished.json"


@dataclass(frozen=True)
class Variants:
    """What a file of variants says.

    Attributes:
        changes: variant to what it changes, as ``--set`` takes it.
        ensembles: name to the variants whose networks predict together.
    """

    changes: Mapping[str, tuple[str, ...]]
    ensembles: Mapping[str, tuple[str, ...]]


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


def read_variants(path: Path) -> Variants:
    """Read which variants there are; the base, which changes nothing, is added.

    Raises:
        ConfigError: the file is missing, or says something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(path, file_problem(error)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise _unreadable(path, str(error).splitlines()[0]) from error
    if not isinstance(content, dict) or not set(content) <= {"variants", "ensembles"}:
        raise _unreadable(path, "other keys")
    changes = {BASE: (), **_lists(content, "variants", path)}
    ensembles = _lists(content, "ensembles", path)
    for name, members in ensembles.items():
        if unknown := [member for member in members if member not in changes]:
            raise _unreadable(path, f"ensemble {name} of {unknown}, which are no variants")
        if name in changes:
            raise _unreadable(path, f"{name} twice")
    return Variants(changes, ensembles)


def run_ablation(job: AblationJob, work: Path, workers: int | None) -> list[AblationRow]:
    """Train what is not trained yet, score it, compare it with the base, print and write a table.

    Raises:
        UsageError: no such fold.
        SlicewiseError: a change that the configuration refuses; all are checked before the first
            training.
    """
    configs = {
        (name, seed): job.config(name, seed)
        for seed in range(job.seeds)
        for name in job.variants.changes
    }
    private_folder(job.out)
    for (name, seed), config in configs.items():
        _train(config, _folder(job, name, seed), job, work, workers)
    for name, members in job.variants.ensembles.items():
        for seed in range(job.seeds):
            _combine(job, name, members, seed, work, workers)
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


def _train(config: Config, folder: Path, job: AblationJob, work: Path, workers: int | None) -> None:
    config = _without_validations(config)
    key = _key(config, job.folds)
    if _is_finished(folder, key):
        return
    note(f"{folder.parent.name}, {folder.name}")
    catalogue, prepared = prepared_slices(config, work, workers)
    fold = inner_fold(catalogue, prepared, config, job.folds)
    with sole_user(folder):
        plan = plan_run(config, prepared.chosen(fold.train), ())
        write_text(folder / CONFIG, as_yaml(without_places(plan.config)))
        training = Training(plan.config, prepared.chosen(fold.train), (), str(fold.number))
        started = time.process_time()
        with progress_bar() as bar:
            task = bar.add_task("training", total=plan.config.training.steps, detail="")
            training.run(folder, _Bar(bar, task))
        training.save(folder / "last.pt")
        cpu_seconds = time.process_time() - started
        _score(
            Predictor.from_checkpoint(folder / "last.pt"), folder, (catalogue, prepared), fold, work
        )
        facts = {"key": key, "cpu_seconds": cpu_seconds, "steps": training.progress.step}
        write_text(folder / _FINISHED, json.dumps(facts) + "\n")


def _combine(
    job: AblationJob, name: str, members: Sequence[str], seed: int, work: Path, workers: int | None
) -> None:
    folder = _folder(job, name, seed)
    trained = [_folder(job, member, seed) for member in members]
    facts = [json.loads((item / _FINISHED).read_text()) for item in trained]
    key = hashlib.sha256("".join(item["key"] for item in facts).encode()).hexdigest()
    if _is_finished(folder, key):
        return
    note(f"{name}, {folder.name}")
    config = job.config(members[0], seed)
    catalogue, prepared = prepared_slices(config, work, workers)
    fold = inner_fold(catalogue, prepared, config, job.folds)
    folder.mkdir(parents=True, exist_ok=True)
    predictor = Predictor.from_checkpoint(*(item / "last.pt" for item in trained))
    _score(predictor, folder, (catalogue, prepared), fold, work)
    together = {"key": key, "cpu_seconds": sum(item["cpu_seconds"] for item in facts)}
    write_text(folder / _FINISHED, json.dumps(together) + "\n")


def _score(
    predictor: Predictor,
    folder: Path,
    data: tuple[Catalogue, Prepared],
    fold: Fold,
    work: Path,
) -> None:
    catalogue, prepared = data
    cases = [catalogue.case(case.name) for case in prepared.chosen(fold.val)]
    evaluated = predict_and_score(predictor, cases, folder / MASKS, pseudonyms_of(work))
    write_scores(evaluated.scores, folder / SCORES)


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


def _key(config: Config, folds: tuple[int, int]) -> str:
    text = as_yaml(without_places(config)) + repr(folds)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_finished(folder: Path, key: str) -> bool:
    """Whether exactly this training came to its end here before."""
    try:
        known = json.loads((folder / _FINISHED).read_text())["key"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(known == key)


def _lists(content: Mapping[str, object], key: str, path: Path) -> dict[str, tuple[str, ...]]:
    entries = content.get(key) or {}
    if isinstance(entries, dict) and all(
        isinstance(items, list) and all(isinstance(item, str) for item in items)
        for items in entries.values()
    ):
        return {str(name): tuple(items) for name, items in entries.items()}
    raise _unreadable(path, f"{key} that are no lists of texts by name")


def _unreadable(path: Path, found: str) -> ConfigError:
    return ConfigError(
        str(path),
        expected="variants: {name: [key=value, ...]}, and ensembles: {name: [variant, ...]}",
        found=found,
        remedy="see `slicewise ablate --help`",
    )
