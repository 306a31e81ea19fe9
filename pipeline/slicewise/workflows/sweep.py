"""Searches values of a configuration that do well, one training a trial."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.config import Config, Space, as_yaml, load_space, with_values, without_places
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.splits import inner_fold
from slicewise.errors import ConfigErrors, TrainingError, UsageError
from slicewise.imaging.files import private_folder, write_table, write_text
from slicewise.imaging.mark import Writer
from slicewise.imaging.target import Target
from slicewise.interruption import interruptible
from slicewise.planning.plan_yaml import with_root
from slicewise.progress import SILENT, Progress
from slicewise.quantities import counted
from slicewise.reporting.charts.sweep import draw_sweep
from slicewise.tracking.run_files import RUN
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.runs import TrackedRun, continue_run, start_run
from slicewise.tracking.spool.syncing import tidy_up
from slicewise.tracking.store import Store, open_store
from slicewise.workflows.parallel.engines import engine_of
from slicewise.workflows.parallel.places import needed_bytes
from slicewise.workflows.prepare import PrepareOptions, prepare
from slicewise.workflows.sweep_study import JOURNAL, Outcome, SweepStudy
from slicewise.workflows.sweep_trial import SweepCases, shown_value
from slicewise.workflows.sweep_trials import announce, require_none_lost, run_trials

if TYPE_CHECKING:
    import pandas as pd

BEST, TRIALS, FIGURE = "best.yaml", "trials.csv", "sweep.png"
_ENTRIES = (BEST, TRIALS, FIGURE, JOURNAL, RUN)


@dataclass(frozen=True)
class SweepOptions:
    """What to search.

    Attributes:
        config: of all trials.
        sweep_file: YAML with the number of trials and the values of each key.
        out: folder of the sweep; None takes one below the work folder.
        fold: number of the fold whose held-out cases stay unseen.
        inner_fold: number of the division of its training cases that is scored.
        work: folder of slice cache, private records and tracking store.
        workers: scans at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
        overwrite: replace files of others.
        parallel: trials at a time, each in a process of its own; None runs one after the other
            in this process.
    """

    config: Config
    sweep_file: Path
    out: Path | None = None
    fold: int = 0
    inner_fold: int = 0
    work: Path = Path("work")
    workers: int | str | None = None
    overwrite: bool = False
    parallel: int | None = None

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.out or self.work / "sweeps" / self.config.name


@dataclass(frozen=True)
class SweepResult:
    """A search that came to its end.

    Attributes:
        best: the complete trial with the highest Dice.
        trials: all that came to an end.
        config_file: the configuration with the best values and the path of its data set.
        csv: file of the trials.
        figure: the same as PNG.
    """

    best: Outcome
    trials: tuple[Outcome, ...]
    config_file: Path
    csv: Path
    figure: Path

    @property
    def table(self) -> pd.DataFrame:
        """One row per trial: how it ended, its Dice, its seconds, and the value of each key."""
        import pandas as pd

        rows = [
            {"state": item.state, "dice": item.dice, "seconds": item.seconds, **item.values}
            for item in self.trials
        ]
        numbers = pd.Index([item.number for item in self.trials], name="trial")
        return pd.DataFrame(rows, index=numbers)


@interruptible()
def sweep(options: SweepOptions, progress: Progress = SILENT) -> SweepResult:
    """Train a configuration again and again with other values, and keep the best of them.

    Every trial is scored on an inner division of the training cases of the fold; the held-out
    cases of that fold are neither trained on nor scored. A sweep that was stopped continues.

    Raises:
        UsageError: Optuna is missing, or there is no such fold.
        ConfigError: no structure, or a search space that does not fit the configuration.
        OutputError: the folder holds another sweep, or another process works there.
        TrainingError: no trial came to its end, or processes of trials side by side failed.
        InterruptedBySignal: the sweep can be continued later.
    """
    config, folder = options.config, options.folder
    config.require_structures()
    space = load_space(options.sweep_file, config)
    _require_optuna()
    configs = [config] if options.parallel is None else [_largest(config, space)]
    engine = engine_of(
        configs, options.parallel, "trials", space.sweep.trials, options.workers, progress
    )
    inputs = [path for path in (config.data.root, options.sweep_file) if path is not None]
    target = Target(Writer("sweep"), overwrite=options.overwrite, inputs=inputs)
    target.claim_entries(folder, _ENTRIES)
    data = prepare(PrepareOptions(config, options.work, options.workers), progress)
    numbers = (options.fold, options.inner_fold)
    volumes_ml = data.prepared.structures_ml
    fold = inner_fold(data.catalogue.labelled, config.data, volumes_ml, numbers)
    train, val = data.prepared.chosen(fold.train), data.prepared.chosen(fold.val)
    target.protect(data.catalogue.files)
    target.claim_entries(folder, _ENTRIES)
    private_folder(folder)
    store = open_store(options.work, must_answer=False)
    tidy_up(store, progress)
    with target.writing(folder):
        study = SweepStudy(folder, space, _key(config, space, train, val), config.seed)
        with _parent(options, store) as parent:
            RunFolder(folder).write_run_id(parent.run_id)
            cases = SweepCases(config, folder, space, train, val, options.work, parent.run_id)
            announce(cases, study, progress)
            lost = run_trials(cases, study, store, engine, progress)
            if not study.outcomes:
                require_none_lost(lost, cases)
            result = _finish(cases, study, parent, options.sweep_file)
            require_none_lost(lost, cases)
            return result


def _largest(config: Config, space: Space) -> Config:
    """The trial that needs most memory, where each key adds to it by itself."""
    for key in space.sweep.parameters:
        trials = []
        for value in space.extremes(key):
            # The configuration refuses some combinations, which no trial will be trained with.
            with suppress(ConfigErrors):
                trials.append(with_values(config, {key: value}))
        config = max(trials, key=needed_bytes, default=config)
    return config


def _require_optuna() -> None:
    if find_spec("optuna") is None:
        raise UsageError(
            "sweep",
            expected="Optuna, which chooses the values",
            found="not installed in this environment",
            remedy="pip install 'slicewise[sweep]'",
        )


def _finish(
    sweep: SweepCases, study: SweepStudy, parent: TrackedRun, sweep_file: Path
) -> SweepResult:
    folder, outcomes, best = sweep.folder, study.outcomes, study.best
    if best is None:
        raise TrainingError(
            folder,
            expected="at least one complete trial",
            found=f"{counted(len(outcomes), 'trial')}, none of them complete",
            remedy="lower training.learning_rate in the sweep, or allow more trials",
        )
    result = SweepResult(best, tuple(outcomes), folder / BEST, folder / TRIALS, folder / FIGURE)
    keep_best(with_values(sweep.config, best.values), result.config_file, parent)
    _write_trials(outcomes, list(sweep.space.sweep.parameters), result.csv)
    draw_sweep(
        [(dict(item.values), item.state, item.dice) for item in outcomes],
        _log_keys(sweep.space),
        result.figure,
    )
    dice = best.dice or 0.0
    parent.log_metrics(len(outcomes), {"dice": dice, "trials": len(outcomes)})
    parent.set_tag("slicewise.best_trial", str(best.number))
    for path in (result.csv, sweep_file):
        parent.log_artifact(path)
    parent.log_figure(result.figure)
    return result


def keep_best(config: Config, file: Path, run: TrackedRun) -> None:
    """Write a configuration that trains as it stands.

    Args:
        config: of the best trial.
        file: names the data set by its absolute path.
        run: gets the same without paths of this machine.
    """
    assert config.data.root is not None
    write_text(file, as_yaml(with_root(config, config.data.root)))
    run.log_text(as_yaml(without_places(config)), file.name)


def _write_trials(outcomes: Sequence[Outcome], keys: Sequence[str], path: Path) -> None:
    rows = (
        (
            item.number,
            item.state,
            item.dice,
            item.seconds,
            *(shown_value(item.values[key]) if key in item.values else "" for key in keys),
        )
        for item in outcomes
    )
    write_table(path, ("trial", "state", "dice", "seconds", *keys), rows)


def _parent(options: SweepOptions, store: Store) -> TrackedRun:
    """The run of the sweep; one that goes on is the run that it began in."""
    folder, config = RunFolder(options.folder), options.config
    if folder.has_run:
        return continue_run(store, folder.run_id())
    tags = {"slicewise.kind": "sweep", "slicewise.sweep": options.sweep_file.name}
    return start_run(store, config, f"sweep, {config.name}", tags=tags)


def _key(
    config: Config, space: Space, train: Sequence[CachedCase], val: Sequence[CachedCase]
) -> str:
    """Stands for everything that makes trials comparable."""
    parameters = {key: item.model_dump(mode="json") for key, item in space.sweep.parameters.items()}
    known = [
        as_yaml(without_places(config)),
        json.dumps(parameters, sort_keys=True),
        *(f"train {case.name} {case.key}" for case in train),
        *(f"val {case.name} {case.key}" for case in val),
    ]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()


def _log_keys(space: Space) -> frozenset[str]:
    return frozenset(key for key, item in space.sweep.parameters.items() if item.log)
