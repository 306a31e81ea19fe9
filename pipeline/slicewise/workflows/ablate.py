"""Compares variants of a configuration on an inner division of its training cases."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter

from slicewise.config import Config, as_yaml, with_overrides, without_places
from slicewise.config.variants import BASE, Variants, read_variants
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.catalogue import Case
from slicewise.dataset.splits import inner_fold
from slicewise.dataset.work_folder import WorkFolder
from slicewise.errors import DataError, UsageError
from slicewise.evaluation.ablation import AblationRow, Variant, ablation_rows, write_ablation
from slicewise.evaluation.predict_and_score import predict_and_score
from slicewise.evaluation.results import CONFIG, SCORES, write_run_config
from slicewise.evaluation.scores import Score, read_scores, write_scores
from slicewise.imaging.files import private_folder, write_text
from slicewise.imaging.locking import sole_user
from slicewise.imaging.mark import Writer
from slicewise.imaging.own_files import changed_files, write_checksums
from slicewise.imaging.target import Target
from slicewise.interruption import interruptible
from slicewise.progress import SILENT, Progress, Task
from slicewise.segmentation.budget import plan_run
from slicewise.segmentation.course import Course
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.training import Training
from slicewise.segmentation.validation import ValidationScore
from slicewise.tracking.records import record_file
from slicewise.tracking.run_folder import RunFolder
from slicewise.workflows.messages import report_set_aside
from slicewise.workflows.prepare import PreparedData, PrepareOptions, prepare

if TYPE_CHECKING:
    import pandas as pd

_FINISHED, _TABLE = "finished.json", "ablation.csv"
_WHO_IS_HELD_OUT = (
    *("root", "layout", "images", "labels_folder", "allow_unpaired"),
    *("patient_pattern", "scans_per_patient", "site_pattern"),
    *("folds", "fold_count", "fold_seed"),
)
"""Keys of the section data that a variant cannot change: it might learn from the unseen cases."""


@dataclass(frozen=True)
class AblateOptions:
    """What to compare.

    Attributes:
        config: the base.
        variants_file: YAML with the changes of each variant.
        out: folder of the results, with a folder for each training; None takes one below the work
            folder.
        fold: number of the fold whose held-out cases stay unseen.
        inner_fold: number of the division of its training cases that is scored.
        seeds: trainings of each variant.
        work: folder of the slice cache.
        workers: scans at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
        overwrite: replace files of others.
    """

    config: Config
    variants_file: Path
    out: Path | None = None
    fold: int = 0
    inner_fold: int = 0
    seeds: int = 1
    work: Path = Path("work")
    workers: int | str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Ablation:
    """Variants that were trained and compared with the base.

    Attributes:
        rows: one a variant, the base first.
        csv: file of these.
    """

    rows: tuple[AblationRow, ...]
    csv: Path

    @property
    def table(self) -> pd.DataFrame:
        """One row per variant: mean Dice, its difference to the base with interval and p-values."""
        import pandas as pd

        rows = []
        for row in self.rows:
            found = asdict(row)
            difference = found.pop("difference")
            found["difference"] = difference.pop("mean")
            rows.append({**found, **difference})
        return pd.DataFrame(rows).set_index("variant")


@dataclass(frozen=True)
class _Setup:
    """What the trainings of an ablation share."""

    options: AblateOptions
    variants: Variants
    out: Path
    progress: Progress
    known: dict[str, PreparedData] = field(default_factory=dict)

    def config(self, variant: str, seed: int) -> Config:
        """The configuration of one training."""
        config = with_overrides(self.options.config, self.variants.changes[variant])
        return config.model_copy(update={"seed": config.seed + seed})

    def folder(self, variant: str, seed: int) -> RunFolder:
        """Where a training lies."""
        return RunFolder(self.out / variant / f"seed-{seed}")

    def split(self, config: Config) -> _Split:
        """Both sides of the inner fold, with the preprocessing of a variant."""
        same = repr((config.data, config.reading, config.structures, config.preprocessing))
        if same not in self.known:
            # What variants share is prepared once.
            options = PrepareOptions(config, self.options.work, self.options.workers)
            self.known[same] = prepare(options, self.progress)
        data = self.known[same]
        labelled, volumes_ml = data.catalogue.labelled, data.prepared.structures_ml
        numbers = (self.options.fold, self.options.inner_fold)
        fold = inner_fold(labelled, config.data, volumes_ml, numbers)
        held_out = data.prepared.chosen(fold.val)
        return _Split(
            fold.number,
            data.prepared.chosen(fold.train),
            held_out,
            [data.catalogue.case(case.name) for case in held_out],
        )

    def score(self, predictor: Predictor, split: _Split, folder: RunFolder) -> None:
        """Predict what is held out, and write the scores into the folder of a training."""
        scored = predict_and_score(
            predictor,
            split.sources,
            folder.masks,
            WorkFolder(self.options.work).pseudonyms,
            progress=self.progress,
        )
        report_set_aside(self.progress, scored.set_aside)
        write_scores(scored.scores, folder.scores)


@interruptible()
def ablate(options: AblateOptions, progress: Progress = SILENT) -> Ablation:
    """Train variants of a configuration on inner folds and compare them, patient by patient.

    The training cases of the fold are divided once more; its held-out cases are neither trained on
    nor scored. Finished trainings are not done again.

    Raises:
        UsageError: no such fold, or a variant with other folds.
        SlicewiseError: a change that the configuration refuses; all are checked before the first
            training.
    """
    base = options.config
    base.require_structures()
    out = options.out or (options.work / "ablations" / f"{base.name}-{options.variants_file.stem}")
    setup = _Setup(options, read_variants(options.variants_file), out, progress)
    configs = {
        (name, seed): setup.config(name, seed)
        for seed in range(options.seeds)
        for name in setup.variants.changes
    }
    for (name, _), config in configs.items():
        _require_same_folds(name, config, configs[BASE, 0])
    inputs = [path for path in (base.data.root, options.variants_file) if path is not None]
    target = Target(Writer("ablate"), overwrite=options.overwrite, inputs=inputs)
    names = (*setup.variants.changes, *setup.variants.ensembles)
    target.claim_entries(out, (_TABLE, *names))
    private_folder(out)
    with target.writing(out):
        return _compared(setup, configs)


def _compared(setup: _Setup, configs: Mapping[tuple[str, int], Config]) -> Ablation:
    for (name, seed), config in configs.items():
        _train(config, setup.folder(name, seed), setup)
    for name, members in setup.variants.ensembles.items():
        for seed in range(setup.options.seeds):
            _combine(setup, name, members, seed)
    names = (*setup.variants.changes, *setup.variants.ensembles)
    rows = ablation_rows(BASE, {name: _measured(setup, name) for name in names})
    csv = setup.out / _TABLE
    write_ablation(rows, csv)
    return Ablation(tuple(rows), csv)


@dataclass(frozen=True)
class _StepObserver:
    """Follows the steps; an ablation has no tracked run."""

    task: Task
    course: Course

    def on_step(self, step: int, values: dict[str, float]) -> None:
        """Report the step."""
        total = self.course.expected_steps(step)
        self.task.update(step, total=total, detail=f"loss {values['loss']:.3f}")

    def on_validation(self, step: int, score: ValidationScore) -> None:
        """Scores are computed at the end, on the scans' own grids."""


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


def _train(config: Config, folder: RunFolder, setup: _Setup) -> None:
    config = _without_validations(config)
    split = setup.split(config)
    key = split.key(config)
    if _is_finished(folder, key):
        return
    setup.progress.message(f"{folder.path.parent.name}, {folder.path.name}")
    with sole_user(folder.path):
        (folder.path / _FINISHED).unlink(missing_ok=True)
        folder.reopen()
        plan = plan_run(config, split.train, ())
        write_run_config(plan.config, folder.config)
        if plan.warning:
            setup.progress.message(plan.warning)
        training = plan.start(Training(plan.config, split.train, (), str(split.number)))
        started = time.process_time()
        with setup.progress.task("training", plan.config.training.steps) as task:
            training.run(folder.path, _StepObserver(task, training.course))
        write_run_config(training.config, folder.config)
        cpu_seconds = time.process_time() - started
        setup.score(Predictor.from_checkpoint(folder.last), split, folder)
        _finish(folder, _Finished(key, cpu_seconds))


def _combine(setup: _Setup, name: str, members: Sequence[str], seed: int) -> None:
    folder = setup.folder(name, seed)
    trained = [setup.folder(member, seed) for member in members]
    facts = [_finished(item) for item in trained]
    key = hashlib.sha256("".join(item.key for item in facts).encode()).hexdigest()
    if _is_finished(folder, key):
        return
    setup.progress.message(f"{name}, {folder.path.name}")
    with sole_user(folder.path):
        predictor = Predictor.from_checkpoint(*(item.last for item in trained))
        setup.score(predictor, setup.split(setup.config(members[0], seed)), folder)
        _finish(folder, _Finished(key, sum(item.cpu_seconds for item in facts)))


def _measured(setup: _Setup, name: str) -> Variant:
    folders = [setup.folder(name, seed) for seed in range(setup.options.seeds)]
    scores: list[Score] = [score for folder in folders for score in read_scores(folder.scores)]
    members = setup.variants.ensembles.get(name)
    changes = setup.variants.changes[name] if members is None else members
    seconds = float(np.mean([_finished(folder).cpu_seconds for folder in folders]))
    return Variant(changes, scores, len(folders), seconds)


@dataclass(frozen=True)
class _Finished:
    """What ``finished.json`` holds.

    Attributes:
        key: stands for configuration and cases.
        cpu_seconds: of the training; of an ensemble, of all its trainings.
    """

    key: str
    cpu_seconds: float


_FINISHED_CONTENT = TypeAdapter(_Finished)


def _finish(folder: RunFolder, facts: _Finished) -> None:
    """Mark a training as finished, with the checksums of what it left."""
    text = json.dumps(asdict(facts)) + "\n"
    write_checksums(folder.path, (CONFIG, SCORES), {_FINISHED: text})
    write_text(folder.path / _FINISHED, text)


def _finished(folder: RunFolder) -> _Finished:
    path = folder.path / _FINISHED
    return record_file(path, "remove the file: the training is done again").json(_FINISHED_CONTENT)


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
                expected=f"data.{key}: {wanted}, as in the other variants, for the same cases",
                found=str(found),
                remedy=f"leave it out; `settings` data.{key} changes it for all",
            )


def _is_finished(folder: RunFolder, key: str) -> bool:
    """Whether exactly this training came to its end here before."""
    try:
        return _finished(folder).key == key and not changed_files(folder.path)
    except (DataError, OSError):
        # None yet, or a damaged one: the training is done again.
        return False
