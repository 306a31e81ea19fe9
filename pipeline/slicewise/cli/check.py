"""``slicewise check``: the doctor of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overrides, Work, Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slicewise.cli.checking_run import SeenCase
    from slicewise.config import Config
    from slicewise.dataset.case_qc import CheckedCase
    from slicewise.dataset.catalogue import SetAside
    from slicewise.dataset.cohort_qc import Overview

_MOST_ROWS = 20
_LETTERS_OF_FIGURES = 56
_FEWEST_LETTERS = 16
_BARE_NAME = "check"


def check(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of scans or CSV manifest.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every finding as JSON.")
    ] = None,
    html_file: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page with a picture of each scan."),
    ] = None,
    config_file: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Labels, patients, layout.")
    ] = None,
    allow_unpaired: Annotated[
        bool, typer.Option("--allow-unpaired", help="Go on without images or labels that miss.")
    ] = False,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    """Tell what a data set holds and what is wrong with it, before hours of work are lost.

    Exit code 8: some scans are set aside or unusable. 1: the data set is unusable as it is.
    Neither page nor JSON holds paths or patients; JSON begins with what its keys mean.

    Examples:
      slicewise check Task04_Hippocampus --config configs/hippocampus.yaml

      slicewise check my_scans --html my_scans.html --json my_scans.json
    """
    from slicewise.cli.bridge import quarantined, report_set_aside, scanning, tracked
    from slicewise.cli.checking_run import see_cases
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.dataset.cohort_qc import compare
    from slicewise.dataset.layouts import read_catalogue
    from slicewise.dataset.work_folder import require_outside
    from slicewise.dataset.worker_pool import default_workers

    require_outside(data, {"--work": work})
    config = _config(data, config_file, overrides or [], allow_unpaired=allow_unpaired)
    with scanning(work, config.reading) as scanner:
        catalogue = read_catalogue(config.data, scanner)
    done = see_cases(
        catalogue, config, workers or default_workers(), with_pictures=html_file is not None
    )
    seen = sorted(tracked(done, "checking", len(catalogue.cases)), key=lambda one: one.case.name)
    cases = [one.case for one in seen]
    overview = compare(cases, config.data)
    _show(cases, overview)
    report_set_aside(catalogue.set_aside, quarantined(catalogue.set_aside, work, "check"))
    if json_file is not None:
        _write_json(json_file, cases, overview, catalogue.set_aside)
    if html_file is not None:
        _write_page(html_file, seen, overview, catalogue.set_aside, config)
    if catalogue.set_aside or overview.unusable:
        raise typer.Exit(SET_ASIDE)


def _config(
    root: Path, config_file: Path | None, overrides: list[str], *, allow_unpaired: bool
) -> Config:
    from slicewise.config import Config, load_config, with_overrides

    overrides = [*overrides, f"data.root={root}"]
    if allow_unpaired:
        overrides.append("data.allow_unpaired=true")
    if config_file is not None:
        return load_config(config_file, overrides)
    return with_overrides(Config.defaults(_BARE_NAME), overrides)


def _show(cases: Sequence[CheckedCase], overview: Overview) -> None:
    from slicewise.cli.console import note, show_table

    # Problems first; a long list of sound cases is cut.
    ranked = sorted(
        cases, key=lambda case: ([not texts for _, texts in _findings(case)], case.name)
    )
    columns = ("case", "shape", "spacing mm", "axes", "intensities", "found")
    show_table(f"{len(cases)} cases", columns, [_row(case) for case in ranked[:_MOST_ROWS]])
    for case in ranked[:_MOST_ROWS]:
        _print_findings(case)
    if len(ranked) > _MOST_ROWS:
        note(f"... and {len(ranked) - _MOST_ROWS} more; --json and --html list them all")
    note(
        f"{overview.cases} cases of {overview.patients} patients, {overview.labelled} with labels, "
        f"{overview.unusable} unusable"
    )
    if overview.empty_labels:
        note(f"{overview.empty_labels} labels are empty")
    if len(overview.contrasts) > 1:
        note(f"contrasts: {', '.join(overview.contrasts)}")
    if shared := overview.shared_patients:
        most = max(len(names) for names in shared)
        note(f"patients with several scans: {len(shared)}, with up to {most} each")
    elif len(cases) > 1 and all(case.patient == case.name for case in cases):
        note("each case counts as one patient; set data.patient_pattern if some share one")
    for text in overview.notes:
        note(text)


def _row(case: CheckedCase) -> tuple[str, ...]:
    ranges = (f"{found.lowest:.4g}..{found.highest:.4g}" for found in case.intensities.values())
    return (
        shortened(case.name),
        "x".join(map(str, case.shape)),
        "x".join(f"{value:.3g}" for value in case.spacing_mm),
        case.orientation,
        ", ".join(ranges),
        next((kind for kind, texts in _findings(case) if texts), "ok"),
    )


def shortened(name: str) -> str:
    """A name that leaves room for the figures beside it; elsewhere it stands in full."""
    from slicewise.cli.console import output

    most = max(output.width - _LETTERS_OF_FIGURES, _FEWEST_LETTERS)
    if len(name) <= most:
        return name
    half = (most - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def _findings(case: CheckedCase) -> tuple[tuple[str, list[str]], ...]:
    return ("PROBLEM", case.problems), ("warning", case.warnings), ("note", case.notes)


def _print_findings(case: CheckedCase) -> None:
    """A line a finding: in the table there is no room for sentences."""
    from slicewise.cli.console import output

    for kind, texts in _findings(case):
        for text in texts:
            output.print(f"{case.name}: {kind}: {text}", markup=False, soft_wrap=True)


def _write_json(
    path: Path,
    cases: Sequence[CheckedCase],
    overview: Overview,
    set_aside: Sequence[SetAside],
) -> None:
    import json

    from slicewise.cli.findings import findings
    from slicewise.imaging.files import write_text

    content = findings(cases, overview, set_aside)
    write_text(path, json.dumps(content, indent=2) + "\n", private=True)


def _write_page(
    path: Path,
    seen: Sequence[SeenCase],
    overview: Overview,
    set_aside: Sequence[SetAside],
    config: Config,
) -> None:
    from slicewise.cli.console import note
    from slicewise.imaging.structures import structures_of
    from slicewise.reporting.data_check.page import DataCheckPage, write_data_check_page

    page = DataCheckPage(
        # The folder's name may be a patient's; the name of a configuration is not.
        title="Data set" if config.name == _BARE_NAME else config.name,
        cases=[one.case for one in seen],
        overview=overview,
        set_aside=set_aside,
        thumbnails={one.case.name: one.thumbnail for one in seen if one.thumbnail is not None},
        structures=structures_of(config.data.labels, config.structures),
    )
    write_data_check_page(page, path)
    note(f"page: {path}")
