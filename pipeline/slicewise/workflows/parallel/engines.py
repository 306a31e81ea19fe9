"""The engine that the options of a command ask for."""

from __future__ import annotations

from collections.abc import Iterable

from slicewise.config import Config
from slicewise.progress import Progress
from slicewise.workflows.parallel.children import Children
from slicewise.workflows.parallel.places import places_of, require_number
from slicewise.workflows.parallel.side_by_side import Engine


def engine_of(
    configs: Iterable[Config],
    parallel: int | None,
    works: str,
    total: int | None,
    progress: Progress,
) -> Engine | None:
    """Where trainings run side by side; None where one follows the other in this process.

    Args:
        configs: of the trainings.
        parallel: trainings at a time, each in a process of its own; None was not asked for.
        works: what is trained, such as "folds".
        total: number of trainings; None where it is not known.
        progress: receives what becomes of a number that is too high.

    Raises:
        UsageError: the number is below 1, or more than this machine carries.
    """
    if parallel is None:
        return None
    require_number(parallel, works)
    if total is not None and parallel > total:
        progress.message(f"`parallel` {parallel}: there are {total} {works}, all at the same time")
        parallel = total
    return Children(places_of(configs, parallel, works))
