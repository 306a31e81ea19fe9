"""Compares variants of a configuration on an inner division of its training cases."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slicewise.config import Config, with_overrides
from slicewise.config.variants import BASE, Variants, read_variants
from slicewise.dataset.splits import inner_fold
from slicewise.errors import UsageError
from slicewise.evaluation.ablation import AblationRow, Variant, ablation_rows, write_ablation
from slicewise.evaluation.scores import Score, read_scores
from slicewise.imaging.files import private_folder
from slicewise.imaging.locking import sole_user
from slicewise.imaging.mark import Writer
from slicewise.imaging.target import Target
from slicewise.interruption import interruptible
from slicewise.progress import SILENT, Progress
from slicewise.quantities import counted
from slicewise.segmentation.inference import Predictor
from slicewise.tracking.run_folder import RunFolder
from slicewise.workflows.ablation_training import (
    Finished,
    Split,
    finish,
    finished,
    is_finished,
    score_held_out,
    train_variant,
    variant_task,
)
from slicewise.workflows.parallel.engines import engine_of
from slicewise.workflows.parallel.side_by_side import Engine, failed, side_by_side
from slicewise.workflows.prepare import PreparedData, PrepareOptions, prepare

if TYPE_CHECKING:
    import pandas as pd

_TABLE = "ablation.csv"
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
        parallel: trainings at a time, each in a process of its own; None runs one after the other
            in this process.
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
    parallel: int | None = None


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

    def split(self, config: Config) -> Split:
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
        return Split(
            fold.number,
            data.prepared.chosen(fold.train),
            held_out,
            [data.catalogue.case(case.name) for case in held_out],
        )


@interruptible()
def ablate(options: AblateOptions, progress: Progress = SILENT) -> Ablation:
    """Train variants of a configuration on inner folds and compare them, patient by patient.

    The training cases of the fold are divided once more; its held-out cases are neither trained on
    nor scored. Finished trainings are not done again.

    Raises:
        UsageError: no such fold, or a variant with other folds.
        TrainingError: trainings side by side that did not come to their end.
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
    engine = engine_of(
        configs.values(),
        options.parallel,
        "trainings",
        len(configs),
        options.workers,
        progress,
    )
    inputs = [path for path in (base.data.root, options.variants_file) if path is not None]
    target = Target(Writer("ablate"), overwrite=options.overwrite, inputs=inputs)
    names = (*setup.variants.changes, *setup.variants.ensembles)
    target.claim_entries(out, (_TABLE, *names))
    private_folder(out)
    with target.writing(out):
        return _compared(setup, configs, engine)


def _compared(
    setup: _Setup, configs: Mapping[tuple[str, int], Config], engine: Engine | None
) -> Ablation:
    _train_all(setup, configs, engine)
    for name, members in setup.variants.ensembles.items():
        for seed in range(setup.options.seeds):
            _combine(setup, name, members, seed)
    names = (*setup.variants.changes, *setup.variants.ensembles)
    rows = ablation_rows(BASE, {name: _measured(setup, name) for name in names})
    csv = setup.out / _TABLE
    write_ablation(rows, csv)
    return Ablation(tuple(rows), csv)


def _train_all(
    setup: _Setup, configs: Mapping[tuple[str, int], Config], engine: Engine | None
) -> None:
    """Train what is not finished, one after the other or side by side."""
    tasks = {
        f"{name}, seed-{seed}": variant_task(
            config, setup.folder(name, seed), setup.split(config), setup.options.work
        )
        for (name, seed), config in configs.items()
    }
    missing = {name: task for name, task in tasks.items() if not task.is_finished}
    if engine is None:
        for name, task in missing.items():
            setup.progress.message(name)
            train_variant(task, setup.progress)
        return
    works = side_by_side(
        engine, train_variant, missing.items(), setup.progress, "trainings", len(missing)
    )
    with closing(works) as done:
        failures = {name: result for name, result in done if isinstance(result, Exception)}
    if failures:
        raise failed(
            setup.out,
            failures,
            expected=counted(len(tasks), "training"),
            remedy="give the same command again: what is finished is kept",
        )


def _combine(setup: _Setup, name: str, members: Sequence[str], seed: int) -> None:
    folder = setup.folder(name, seed)
    trained = [setup.folder(member, seed) for member in members]
    facts = [finished(item) for item in trained]
    key = hashlib.sha256("".join(item.key for item in facts).encode()).hexdigest()
    if is_finished(folder, key):
        return
    setup.progress.message(f"{name}, {folder.path.name}")
    with sole_user(folder.path):
        predictor = Predictor.from_checkpoint(*(item.last for item in trained))
        split = setup.split(setup.config(members[0], seed))
        score_held_out(predictor, split.sources, folder, setup.options.work, setup.progress)
        finish(folder, Finished(key, sum(item.cpu_seconds for item in facts)))


def _measured(setup: _Setup, name: str) -> Variant:
    folders = [setup.folder(name, seed) for seed in range(setup.options.seeds)]
    scores: list[Score] = [score for folder in folders for score in read_scores(folder.scores)]
    members = setup.variants.ensembles.get(name)
    changes = setup.variants.changes[name] if members is None else members
    seconds = float(np.mean([finished(folder).cpu_seconds for folder in folders]))
    return Variant(changes, scores, len(folders), seconds)


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
