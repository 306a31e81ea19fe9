"""The study of a sweep: trials so far and the values of the next one, drawn by Optuna."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicewise.config import ParameterSection, Space
from slicewise.errors import DataError, OutputError

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

JOURNAL = "optuna.journal"
"""Optuna's own storage: a line an event, so that a process that is killed damages nothing."""
_NAME = "sweep"
_KEY, _SECONDS = "slicewise.key", "slicewise.seconds"
_MOST_DRAWS = 50
"""Until the values are others than those of all trials that run at the moment."""


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        number: counts from 0.
        values: key to the value that was tried.
        state: ``complete``, ``pruned`` or ``failed``.
        dice: mean validation Dice, of the last validation that there was; None without one.
        seconds: of the whole trial.
    """

    number: int
    values: Mapping[str, Any]
    state: str
    dice: float | None
    seconds: float


class SweepStudy:
    """Optuna's study of a sweep, kept in a folder that one process uses at a time.

    It draws and keeps all trials; those that other processes train report to it by
    ``TrialReports``.

    Args:
        folder: of the sweep.
        space: what trials draw from.
        key: stands for all that makes trials comparable: configuration, values, cases.
        seed: of the draws.

    Raises:
        OutputError: the folder holds another sweep.
        DataError: the file of its trials is damaged.
    """

    def __init__(self, folder: Path, space: Space, key: str, seed: int) -> None:
        import optuna

        self.space = space
        self._study = _open_study(folder, space)
        self._asked: dict[int, Trial] = {}
        known = self._study.user_attrs.setdefault(_KEY, key)
        if known != key:
            raise OutputError(
                folder,
                expected="the sweep that was started there",
                found="another configuration, other values or other cases",
                remedy="choose another `out`",
            )
        self._study.set_user_attr(_KEY, key)
        self._retry_what_was_killed()
        # Other draws than before the interruption, but the same whenever this is repeated.
        begun = len(self._study.trials)
        if space.sweep.sampler == "tpe":
            self._study.sampler = optuna.samplers.TPESampler(seed=seed + begun)
        else:
            self._study.sampler = optuna.samplers.RandomSampler(seed=seed + begun)

    @property
    def outcomes(self) -> list[Outcome]:
        """Of all trials that came to an end."""
        return [
            self._outcome(trial)
            for trial in self._study.trials
            # One that was interrupted has no duration.
            if trial.state.is_finished() and _SECONDS in trial.user_attrs
        ]

    @property
    def best(self) -> Outcome | None:
        """The complete trial with the highest Dice."""
        complete = [item for item in self.outcomes if item.state == "complete"]
        return max(complete, key=lambda item: item.dice or 0.0, default=None)

    @property
    def spent_seconds(self) -> float:
        """Time during which trials ran or still run; side by side it counts once."""
        trials = self._study.get_trials(deepcopy=False)
        counted = [item for item in trials if _SECONDS in item.user_attrs or _is_running(item)]
        spent, until = 0.0, datetime.min
        for trial in sorted(counted, key=lambda item: item.datetime_start or until):
            begun, end = trial.datetime_start or until, trial.datetime_complete or datetime.now()
            spent += max(0.0, (end - max(begun, until)).total_seconds())
            until = max(until, end)
        return spent

    def ask(self) -> tuple[int, dict[str, Any]]:
        """Number of the next trial, and the value of each key: others than those that run."""
        from optuna.trial import TrialState

        for _ in range(_MOST_DRAWS):
            trial = self._study.ask()
            parameters = self.space.sweep.parameters
            values = {key: self._suggested(trial, key, item) for key, item in parameters.items()}
            if not self._runs_already(trial):
                break
            self._study.tell(trial, state=TrialState.FAIL)
        self._asked[trial.number] = trial
        return trial.number, values

    def tell(self, number: int, state: str, dice: float | None, seconds: float) -> None:
        """Keep what became of a trial: ``complete``, ``pruned`` or ``failed``."""
        from optuna.trial import TrialState

        trial = self._asked.pop(number)
        trial.set_user_attr(_SECONDS, seconds)
        if state == "complete":
            self._study.tell(trial, dice)
        else:
            ended = TrialState.PRUNED if state == "pruned" else TrialState.FAIL
            self._study.tell(trial, state=ended)

    @property
    def unfinished(self) -> int:
        """Number of trials that were asked for and have not come to an end."""
        return len(self._asked)

    def give_up(self) -> None:
        """Trials that did not come to an end were interrupted: their values are tried again."""
        for number in list(self._asked):
            self._give_up(number, self._asked.pop(number).params)

    def _runs_already(self, trial: Trial) -> bool:
        return any(
            item.params == trial.params
            for item in self._study.get_trials(deepcopy=False)
            if _is_running(item) and item.number != trial.number
        )

    def _retry_what_was_killed(self) -> None:
        for trial in self._study.trials:
            if _is_running(trial):
                self._give_up(trial.number, trial.params)

    def _give_up(self, number: int, params: Mapping[str, Any]) -> None:
        from optuna.trial import TrialState

        self._study.tell(number, state=TrialState.FAIL)
        if params:
            self._study.enqueue_trial(dict(params))

    def _suggested(self, trial: Trial, key: str, parameter: ParameterSection) -> Any:
        if parameter.choices is not None:
            # Optuna keeps simple values alone: the number of the choice, not a list.
            return parameter.choices[trial.suggest_int(key, 0, len(parameter.choices) - 1)]
        low, high = parameter.low, parameter.high
        assert low is not None
        assert high is not None
        if self.space.kinds[key] == "int":
            step = int(parameter.step or 1)
            return trial.suggest_int(key, int(low), int(high), log=parameter.log, step=step)
        return trial.suggest_float(key, low, high, log=parameter.log, step=parameter.step)

    def _outcome(self, trial: FrozenTrial) -> Outcome:
        values = {
            key: item.choices[trial.params[key]] if item.choices is not None else trial.params[key]
            for key, item in self.space.sweep.parameters.items()
            if key in trial.params
        }
        state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
        last = max(trial.intermediate_values, default=None)
        dice = trial.value if state == "complete" else None
        if dice is None and last is not None:
            dice = trial.intermediate_values[last]
        seconds = float(trial.user_attrs[_SECONDS])
        return Outcome(trial.number, values, state, dice, seconds)


class TrialReports:
    """What a trial reports to its study while it is trained, perhaps in another process.

    Args:
        folder: of the sweep.
        space: what trials draw from.
        number: of the trial.
    """

    def __init__(self, folder: Path, space: Space, number: int) -> None:
        from optuna.trial import Trial

        study = _open_study(folder, space)
        known = study.get_trials(deepcopy=False)[number]
        self._trial = Trial(study, known._trial_id)
        self._validations = 0

    def is_hopeless(self, dice: float) -> bool:
        """Report a validation; whether others were better at this point.

        Args:
            dice: mean over the structures.
        """
        self._trial.report(dice, self._validations)
        self._validations += 1
        return bool(self._trial.should_prune())


def _open_study(folder: Path, space: Space) -> Study:
    """The study in a folder, in which several processes may write at a time.

    Raises:
        DataError: its file is damaged.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(logging.WARNING)
    pruner = space.sweep.pruner
    try:
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
            study_name=_NAME,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.NopPruner()
            if pruner.kind == "none"
            else optuna.pruners.MedianPruner(
                n_startup_trials=pruner.warmup_trials, n_warmup_steps=pruner.warmup_validations
            ),
        )
    except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        # What Optuna raises for lines that make no sense.
        raise DataError(
            folder / JOURNAL,
            expected="the trials of the sweep, as Optuna wrote them",
            found="a damaged file",
            remedy="restore the file from a copy, or choose another `out`",
        ) from error


def _is_running(trial: FrozenTrial) -> bool:
    return trial.state.name == "RUNNING"
