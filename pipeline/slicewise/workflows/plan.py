"""Plans a training: reads a labelled data set and writes a configuration that fits it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from slicewise.config import BUDGET_MINUTES, Config, parse_config
from slicewise.dataset.catalogue import Catalogue, SetAside, data_root
from slicewise.dataset.cluster import Cluster
from slicewise.dataset.data_set_problem import require_labels
from slicewise.dataset.description import (
    Description,
    read_description,
    require_none_ignored,
    with_description,
)
from slicewise.dataset.layouts import read_catalogue
from slicewise.dataset.work_folder import WorkFolder, require_outside
from slicewise.dataset.workers import chosen_workers, default_workers
from slicewise.errors import OutputError, UsageError
from slicewise.imaging.files import part_folder, private_folder, write_text
from slicewise.imaging.target import outputs
from slicewise.planning.budget_fitting import FittedPlan, fit_to_budget
from slicewise.planning.case_fingerprint import measure_cases
from slicewise.planning.cohort_fingerprint import (
    assemble_fingerprint,
    unusable_cases,
)
from slicewise.planning.draft import Draft
from slicewise.planning.estimate import Estimate, estimate
from slicewise.planning.fingerprint import Fingerprint
from slicewise.planning.machine import this_machine
from slicewise.planning.overrides import overridden_config, overridden_values
from slicewise.planning.plan_yaml import render_plan, with_root
from slicewise.planning.rules import draft_plan
from slicewise.planning.sample import SAMPLED_CASES, prepare_sample
from slicewise.planning.sanity_checks import sanity_checks
from slicewise.planning.summary import Row, data_set_rows, estimate_rows, header_lines, plan_rows
from slicewise.progress import SILENT, Progress, tracked
from slicewise.quantities import listed
from slicewise.workflows.messages import report_notes, report_patients, report_set_aside

if TYPE_CHECKING:
    import pandas as pd

_BUDGETS = ("training.budget_minutes", "training.epochs", "training.steps")


@dataclass(frozen=True)
class PlanOptions:
    """What to plan.

    Attributes:
        data: folder of scans with labels, or a CSV manifest.
        out: the configuration that is written.
        budget_minutes: of the training of a fold; None takes 30.
        settings: ``key=value`` of the configuration; they stay as they are, and the rest of the
            plan follows them.
        name: of the configuration; None takes that of ``out``.
        overwrite: replace a configuration that lies in ``out``.
        work: folder of private records and temporary files.
        workers: scans at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
    """

    data: Path
    out: Path
    budget_minutes: float | None = None
    settings: tuple[str, ...] = ()
    name: str | None = None
    overwrite: bool = False
    work: Path = Path("work")
    workers: int | str | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The settings, with the name where one is given."""
        return self.settings if self.name is None else (*self.settings, f"name={self.name}")


@dataclass(frozen=True)
class PlanResult:
    """A configuration that was written, and why it is as it is.

    Attributes:
        config: the configuration, with the absolute path of its data set.
        path: the file, with the reason of each chosen value.
        data_set: what the data set holds: property, value.
        choices: key, value and reason of all that follows from the data set, or was given.
        cost: what a training costs on this machine: quantity, value.
        warnings: what a person should look at before the training.
        set_aside: scans that could not be used.
    """

    config: Config
    path: Path
    data_set: tuple[Row, ...]
    choices: tuple[tuple[str, str, str], ...]
    cost: tuple[Row, ...]
    warnings: tuple[str, ...]
    set_aside: tuple[SetAside, ...]

    @property
    def table(self) -> pd.DataFrame:
        """One row per choice: its key, value and reason."""
        import pandas as pd

        columns = ["key", "value", "reason"]
        return pd.DataFrame(list(self.choices), columns=columns).set_index("key")


def plan(options: PlanOptions, progress: Progress = SILENT) -> PlanResult:
    """Read the fingerprint of a data set, measure a few steps, and write a configuration.

    Raises:
        ConfigErrors, UsageError: options that are wrong or contradict each other.
        DataError: a data set that nothing can be learned from as it is.
        OutputError: ``out`` exists, or cannot be written.
    """
    require_outside(options.data, {"work": options.work, "out": options.out})
    _require_free_file(options.out, overwrite=options.overwrite)
    writing = outputs(
        "plan",
        {"out": [options.out]},
        overwrite=options.overwrite,
        inputs=[options.data],
        suffixes={"out": (".yaml", ".yml")},
    )
    with writing:
        return _plan(options, progress)


def _plan(options: PlanOptions, progress: Progress) -> PlanResult:
    given = _given(options)
    data_root(given.data.model_copy(update={"root": options.data}))
    machine = this_machine(given.training.device)
    described = read_description(options.data, given.data)
    data = with_description(given.data, described).model_copy(update={"root": options.data})
    config = given.model_copy(update={"data": data})
    catalogue, fingerprint, set_aside = _read(options, config, described, progress)
    # Names that were given replace those of the data set.
    warnings = sanity_checks(fingerprint, {} if config.data.labels else described.labels)
    if described.regions and not config.data.labels:
        warnings = [*warnings, _regions(described)]
    budget = BUDGET_MINUTES if options.budget_minutes is None else options.budget_minutes
    values = overridden_values(options.given)
    draft = draft_plan(_name(options), fingerprint, machine, values, budget)
    fitted = _fitted(options, draft, fingerprint, catalogue, progress)
    if fitted.shortage:
        warnings = [*warnings, fitted.shortage]
    found, choices = data_set_rows(fingerprint), plan_rows(draft)
    cost = estimate_rows(fitted.estimate, machine)
    planned = with_root(fitted.config, options.data)
    head = header_lines(_command(options), found, warnings, cost)
    text = render_plan(planned, {key: reason for key, _, reason in choices}, head)
    write_text(options.out, text)
    return PlanResult(
        planned,
        options.out,
        tuple(found),
        tuple(choices),
        tuple(cost),
        tuple(warnings),
        tuple(set_aside),
    )


def _regions(described: Description) -> str:
    return (
        f"{listed(described.regions)}: structures of several values in dataset.json, which are not "
        "joined; each value is learned as a structure of its own"
    )


def _require_free_file(out: Path, *, overwrite: bool) -> None:
    """Refuse to replace a configuration, which may have been edited."""
    if out.is_dir() or (out.exists() and not overwrite):
        raise OutputError(
            out,
            expected="a new file",
            found="a folder" if out.is_dir() else "a file",
            remedy="name another file with `out`, or replace it with `overwrite`",
        )


def _given(options: PlanOptions) -> Config:
    """What the user has set, checked before anything is read."""
    budgets = [text for text in options.settings if text.startswith(_BUDGETS)]
    if options.budget_minutes is not None and budgets:
        raise UsageError(
            "`budget_minutes`",
            expected="one budget",
            found=f"`settings` {budgets[0]} as well",
            remedy="leave one of the two out",
        )
    if options.budget_minutes is not None and options.budget_minutes <= 0:
        raise UsageError(
            "`budget_minutes`",
            expected="more than 0 minutes",
            found=f"{options.budget_minutes:g} minutes",
            remedy="give the minutes that the training of a fold may take",
        )
    given = overridden_config(options.given)
    if given.data.root is not None:
        raise UsageError(
            "`settings` data.root",
            expected="the data set named once",
            found=str(given.data.root),
            remedy="leave it out: the plan writes the path of the data set into the configuration",
        )
    return given


def _name(options: PlanOptions) -> str:
    """Of the configuration; letters that it must not have become underscores."""
    given = overridden_values(options.given).get("name")
    if given is not None:
        return str(given)
    return re.sub(r"[^A-Za-z0-9_.-]", "_", options.out.stem).lstrip("_.-") or "plan"


def _read(
    options: PlanOptions, config: Config, described: Description, progress: Progress
) -> tuple[Catalogue, Fingerprint, list[SetAside]]:
    """Read every labelled case of the data set."""
    config, work = _undecided(config), WorkFolder(options.work)
    reading = config.reading
    catalogue = read_catalogue(config.data, work.scanner(reading, progress))
    report_patients(progress, catalogue)
    require_labels(catalogue)
    done = measure_cases(catalogue, config, chosen_workers(options.workers))
    measured = list(tracked(done, progress, "reading", len(catalogue.labelled)))
    set_aside = [*catalogue.set_aside, *unusable_cases(measured)]
    report_notes(progress, catalogue.notes)
    report_set_aside(progress, set_aside, work.write_quarantine("plan", set_aside))
    structures = {one.checked.name: one.checked.structures for one in measured}
    require_none_ignored(described, config.data, structures)
    fingerprint = assemble_fingerprint(measured, config, described.labels, catalogue)
    return catalogue, fingerprint, set_aside


def _undecided(config: Config) -> Config:
    """What a plan is to find out is not refused, unless the user has set it."""
    data, reading = config.data, config.reading
    if "different_grids" not in reading.model_fields_set:
        reading = reading.model_copy(update={"different_grids": "resample"})
    if "duplicates" not in data.model_fields_set:
        data = data.model_copy(update={"duplicates": "keep_first"})
    return config.model_copy(update={"data": data, "reading": reading})


def _fitted(
    options: PlanOptions,
    draft: Draft,
    fingerprint: Fingerprint,
    catalogue: Catalogue,
    progress: Progress,
) -> FittedPlan:
    """Measure the draft on a few cases, and fit it into its budget."""

    def build(planned: Draft) -> Config:
        text = yaml.safe_dump(planned.values(), sort_keys=False)
        return parse_config(text, "plan", options.given)

    chosen = chosen_workers(options.workers)
    # A handful of scans is not worth the way to a cluster.
    workers = min(default_workers() if isinstance(chosen, Cluster) else chosen, SAMPLED_CASES)
    with _scratch(options.work) as scratch:
        with progress.task("preparing a few scans"):
            sample = prepare_sample(catalogue, fingerprint, build(draft), scratch, workers)

        def measure(config: Config) -> Estimate:
            return estimate(fingerprint, config, sample)

        with progress.task("measuring a few steps"):
            return fit_to_budget(draft, build, measure)


@contextmanager
def _scratch(work: Path) -> Iterator[Path]:
    """A folder for slices, which are private, that is gone afterwards."""
    with part_folder(private_folder(work / "plan")) as folder:
        yield folder


def _command(options: PlanOptions) -> str:
    """What makes the same plan, without the places of this machine."""
    budget = "" if options.budget_minutes is None else f" --budget {options.budget_minutes:g}"
    settings = "".join(f" --set {shlex.quote(text)}" for text in options.given)
    return f"slicewise plan DATA --out CONFIG{budget}{settings}"
