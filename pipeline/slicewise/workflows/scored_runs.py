"""Finds the scores of runs that are to be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slicewise.errors import DataError
from slicewise.evaluation.results import Results
from slicewise.evaluation.scored_run import ScoredRun
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.run_index import find_run

_SHORT_ID = 8


def find_scores(run: str | Path, work: Path) -> ScoredRun:
    """The scores of a run.

    Args:
        run: its folder, its id, ``models:/name@alias``, or a CSV of scores.
        work: the work folder that the run was made with.

    Raises:
        DataError: no such run or file, a damaged one, or one without scores.
        ModelError: an id or a model that the store does not know.
    """
    if str(run).endswith(".csv"):
        found = ScoredRun.of_table(Path(run))
    else:
        found = scores_of(RunFolder(find_run(run, work).folder).results())
    if not found.scores:
        raise DataError(
            run,
            expected="scores of held-out cases",
            found="no scores",
            remedy="finish the training with `resume`, or give a CSV of scores",
        )
    return found


def scores_of(folds: Sequence[Results]) -> ScoredRun:
    """All folds of a run, with the first letters of its id.

    Raises:
        DataError: a damaged record of the id.
    """
    return ScoredRun.of_folds(folds, RunFolder(folds[0].folder).any_run_id()[:_SHORT_ID])
