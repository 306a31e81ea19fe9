"""The engine that the options of a command ask for."""

from __future__ import annotations

from collections.abc import Iterable

from slicewise.config import Config
from slicewise.dataset.cluster import Cluster
from slicewise.dataset.workers import chosen_workers
from slicewise.progress import Progress
from slicewise.workflows.parallel.children import Children
from slicewise.workflows.parallel.on_cluster import OnCluster
from slicewise.workflows.parallel.places import places_of, require_number
from slicewise.workflows.parallel.side_by_side import Engine


def engine_of(
    configs: Iterable[Config],
    parallel: int | None,
    works: str,
    total: int | None,
    workers: int | str | None,
    progress: Progress,
) -> Engine | None:
    """Where trainings run side by side; None where one follows the other in this process.

    Args:
        configs: of the trainings.
        parallel: trainings at a time, each in a process of its own; None was not asked for.
        works: what is trained, such as "folds".
        total: number of trainings; None where it is not known.
        workers: an address of a Dask cluster trains there; a number, or None, on this machine.
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
    chosen = chosen_workers(workers)
    if isinstance(chosen, Cluster):
        return OnCluster(chosen, parallel)
    return Children(places_of(configs, parallel, works))
