"""One planning: a data set read, a plan drafted, measured, shown and written."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from slicewise.cli.bridge import quarantined, report_set_aside, scanning, tracked
from slicewise.cli.console import loading, note, notes
from slicewise.cli.options import DEFAULT_WORK
from slicewise.cli.plan_tables import show_texts
from slicewise.config import BUDGET_MINUTES, Config, parse_config
from slicewise.dataset.catalogue import Catalogue, SetAside, data_root
from slicewise.dataset.description import read_description, with_description
from slicewise.dataset.layouts import read_catalogue
from slicewise.dataset.worker_pool import default_workers
from slicewise.errors import OutputError, UsageError
from slicewise.imaging.files import private_folder, write_text
from slicewise.planning.case_fingerprint import measure_cases
from slicewise.planning.cohort_fingerprint import (
    assemble_fingerprint,
    require_labels,
    unusable_cases,
)
from slicewise.planning.draft import Draft
from slicewise.planning.fingerprint import Fingerprint
from slicewise.planning.overrides import overridden_config, overridden_values
from slicewise.planning.plan_yaml import render_plan, with_root
from slicewise.planning.sanity_checks import sanity_checks

if TYPE_CHECKING:
    from slicewise.planning.budget_fitting import FittedPlan

_BUDGETS = ("training.budget_minutes", "training.epochs", "training.steps")


@dataclass(frozen=True)
class PlanningJob:
    """What the user asks for.

    Attributes:
        data: folder or manifest.
        out: file to write.
        budget_minutes: of a fold; None takes the default.
        overrides: of ``--set``; without a name, the configuration takes that of the file.
        work: place of private and temporary files.
        workers: scans at a time.
    """

    data: Path
    out: Path
    budget_minutes: float | None
    overrides: tuple[str, ...]
    work: Path
    workers: int | None


def require_free_file(out: Path, *, overwrite: bool) -> None:
    """Refuse to replace a configuration, which may have been edited.

    Raises:
        OutputError: the file exists, or a folder lies there.
    """
    if out.is_dir() or (out.exists() and not overwrite):
        raise OutputError(
            out,
            expected="a new file",
            found="a folder" if out.is_dir() else "a file",
            remedy="name another file with --out, or say --overwrite to replace it",
        )


def write_plan(job: PlanningJob) -> bool:
    """Plan and write; returns whether scans were set aside.

    Raises:
        ConfigErrors, UsageError: options that are wrong or contradict each other.
        DataError: a data set that nothing can be learned from as it is.
    """
    given, name = _given(job), _name(job)
    # A wrong path is told before the second that the network's libraries take.
    data_root(given.data.model_copy(update={"root": job.data}))
    with loading():
        from slicewise.planning.machine import this_machine
        from slicewise.planning.rules import draft_plan
        from slicewise.planning.summary import data_set_rows, estimate_rows, header_lines, plan_rows
    machine = this_machine(given.training.device)
    described = read_description(job.data, given.data.layout)
    data = with_description(given.data, described).model_copy(update={"root": job.data})
    config = given.model_copy(update={"data": data})
    catalogue, fingerprint, set_aside = _read(job, config, described.labels)
    # Names that were given replace those of the data set.
    names = {} if config.data.labels else described.labels
    found = sanity_checks(fingerprint, names)
    show_texts("Data set", ("property", "value"), data_set_rows(fingerprint))
    for text in found:
        note(f"check: {text}")
    budget = job.budget_minutes or BUDGET_MINUTES
    draft = draft_plan(name, fingerprint, machine, overridden_values(job.overrides), budget)
    fitted = _fitted(job, draft, fingerprint, catalogue)
    estimated = estimate_rows(fitted.estimate, machine)
    planned = plan_rows(draft)
    show_texts("Plan", ("key", "value", "reason"), planned)
    show_texts("Estimated cost", ("quantity", "value"), estimated)
    if fitted.shortage:
        found = [*found, fitted.shortage]
        note(f"check: {fitted.shortage}")
    reasons = {key: reason for key, _, reason in planned}
    head = header_lines(_command(job), data_set_rows(fingerprint), found, estimated)
    write_text(job.out, render_plan(with_root(fitted.config, job.data), reasons, head))
    note(f"configuration: {job.out}")
    note(f"Next: {_next_command(job)}")
    return bool(set_aside)


def _given(job: PlanningJob) -> Config:
    """What the user has set, checked before anything is read."""
    budgets = [text for text in job.overrides if text.startswith(_BUDGETS)]
    if job.budget_minutes is not None and budgets:
        raise UsageError(
            "--budget",
            expected="one budget",
            found=f"--set {budgets[0]} as well",
            remedy="leave one of the two out",
        )
    given = overridden_config(job.overrides)
    if given.data.root is not None:
        raise UsageError(
            "--set data.root",
            expected="the data set as the argument DATA alone",
            found=str(given.data.root),
            remedy="leave it out: the plan writes the path of DATA into the configuration",
        )
    return given


def _name(job: PlanningJob) -> str:
    """Of the configuration; letters that it must not have become underscores."""
    given = overridden_values(job.overrides).get("name")
    if given is not None:
        return str(given)
    return re.sub(r"[^A-Za-z0-9_.-]", "_", job.out.stem).lstrip("_.-") or "plan"


def _read(
    job: PlanningJob, config: Config, described: dict[str, int]
) -> tuple[Catalogue, Fingerprint, list[SetAside]]:
    """Read every labelled case of the data set."""
    reading = config.reading
    if "different_grids" not in reading.model_fields_set:
        # Whether contrasts lie on different grids is what the plan is to find out.
        reading = reading.model_copy(update={"different_grids": "resample"})
        config = config.model_copy(update={"reading": reading})
    with scanning(job.work, reading) as scanner:
        catalogue = read_catalogue(config.data, scanner)
    require_labels(catalogue)
    done = measure_cases(catalogue, config, job.workers or default_workers())
    measured = list(tracked(done, "reading", len(catalogue.labelled)))
    set_aside = [*catalogue.set_aside, *unusable_cases(measured)]
    report_set_aside(set_aside, quarantined(set_aside, job.work, "plan"))
    fingerprint = assemble_fingerprint(measured, config, described, catalogue)
    return catalogue, fingerprint, set_aside


def _fitted(
    job: PlanningJob, draft: Draft, fingerprint: Fingerprint, catalogue: Catalogue
) -> FittedPlan:
    """Measure the draft on a few cases, and fit it into its budget."""
    from slicewise.planning.budget_fitting import fit_to_budget
    from slicewise.planning.estimate import Estimate, estimate
    from slicewise.planning.sample import SAMPLED_CASES, prepare_sample

    def build(planned: Draft) -> Config:
        text = yaml.safe_dump(planned.values(), sort_keys=False)
        return parse_config(text, "plan", job.overrides)

    workers = min(job.workers or default_workers(), SAMPLED_CASES)
    with notes.status("preparing a few scans") as status, _scratch(job.work) as scratch:
        sample = prepare_sample(catalogue, fingerprint, build(draft), scratch, workers)
        status.update("measuring a few steps")

        def measure(config: Config) -> Estimate:
            return estimate(fingerprint, config, sample)

        return fit_to_budget(draft, build, measure)


@contextmanager
def _scratch(work: Path) -> Iterator[Path]:
    """A folder for slices, which are private, that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=private_folder(work / "plan")) as folder:
        yield Path(folder)


def _next_command(job: PlanningJob) -> str:
    """How the plan is trained, in the same work folder."""
    work = "" if job.work == DEFAULT_WORK else f" --work {shlex.quote(str(job.work))}"
    return f"slicewise train {shlex.quote(str(job.out))}{work}"


def _command(job: PlanningJob) -> str:
    """What made the plan, without the places of this machine."""
    budget = "" if job.budget_minutes is None else f" --budget {job.budget_minutes:g}"
    options = "".join(f" --set {shlex.quote(text)}" for text in job.overrides)
    return f"slicewise plan DATA --out CONFIG{budget}{options}"
