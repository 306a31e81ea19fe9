"""``slicewise check``: what a data set holds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overrides, Overwrite, Work, Workers

if TYPE_CHECKING:
    from slicewise.dataset.case_qc import CheckedCase
    from slicewise.workflows.check import CheckResult

_MOST_ROWS = 20
_MOST_FINDINGS = 40
_MOST_NAMES = 3
_KINDS = ("PROBLEM", "warning", "note")


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
        Path | None,
        typer.Option(
            "--config",
            metavar="CONFIG",
            help="Configuration that names labels, patients and layout.",
        ),
    ] = None,
    allow_unpaired: Annotated[
        bool,
        typer.Option(
            "--allow-unpaired", help="Ignore images without label and labels without image."
        ),
    ] = False,
    unlabelled: Annotated[
        bool,
        typer.Option("--unlabelled", help="Scans to predict: no label maps are expected."),
    ] = False,
    overwrite: Overwrite = False,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    """Check a data set: what it holds, and what is wrong with it.

    The page and the JSON file contain no paths and no names or ids of patients.
    The JSON file begins with the meaning of its keys.

    Exit code 8: some scans were set aside or cannot be used, or a training would
    refuse the data set, for example because of duplicates or because no scan has
    a label map. 1: the data set cannot be read.

    Examples:
      slicewise check data/Task04_Hippocampus --config configs/hippocampus.yaml

      slicewise check my_scans --html my_scans.html --json my_scans.json
    """
    from slicewise.cli.console import PROGRESS
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.config import load_config, with_overrides
    from slicewise.workflows.check import UNNAMED, CheckOptions
    from slicewise.workflows.check import check as check_data

    changes = [*(overrides or ()), *(["data.allow_unpaired=true"] if allow_unpaired else [])]
    config = load_config(config_file, changes) if config_file else with_overrides(UNNAMED, changes)
    options = CheckOptions(
        data,
        config,
        html_file,
        json_file,
        work,
        workers,
        overwrite,
        needs_labels=not unlabelled,
    )
    result = check_data(options, PROGRESS)
    show_check(result)
    if not result.is_sound:
        raise typer.Exit(SET_ASIDE)


def show_check(result: CheckResult) -> None:
    """Print one row per case, the worst first, and each finding."""
    from slicewise.cli.console import note, show_table
    from slicewise.quantities import counted

    # Problems first; a long list of sound cases is cut.
    ranked = sorted(
        result.cases, key=lambda case: ([not texts for _, texts in _findings(case)], case.name)
    )
    columns = ("case", "shape", "spacing mm", "axes", "intensities", "found")
    title = counted(len(ranked), "case")
    show_table(title, columns, [_row(case) for case in ranked[:_MOST_ROWS]])
    _print_findings(ranked)
    if len(ranked) > _MOST_ROWS:
        note(f"... and {len(ranked) - _MOST_ROWS} more; --json and --html list them all")
    _note_overview(result)
    if result.html is not None:
        note(f"page: {result.html}")


def _note_overview(result: CheckResult) -> None:
    from slicewise.cli.console import note
    from slicewise.quantities import counted

    overview, cases = result.overview, result.cases
    note(
        f"{counted(overview.cases, 'case')} of {counted(overview.patients, 'patient')}, "
        f"{overview.labelled} with labels, {overview.unusable} unusable"
    )
    if overview.empty_labels:
        note(f"{counted(overview.empty_labels, 'label map')} without any structure")
    if len(overview.contrasts) > 1:
        note(f"contrasts: {', '.join(overview.contrasts)}")
    if shared := overview.shared_patients:
        most = max(len(names) for names in shared)
        note(f"patients with several scans: {len(shared)}, with up to {most} each")
    elif len(cases) > 1 and all(case.patient == case.name for case in cases):
        note("each case counts as one patient; set data.patient_pattern if some share one")
    for text in overview.notes:
        note(text)
    for finding in overview.problems:
        note(f"PROBLEM: {finding.text}")


def _row(case: CheckedCase) -> tuple[str, ...]:
    from slicewise.cli.tables import grid_cells, shortened

    ranges = (f"{found.lowest:.4g}..{found.highest:.4g}" for found in case.intensities.values())
    return (
        shortened(case.name),
        *grid_cells(case.shape, case.spacing_mm if case.spacing_is_known else ()),
        case.orientation,
        ", ".join(ranges),
        next((kind for kind, texts in _findings(case) if texts), "ok"),
    )


def _findings(case: CheckedCase) -> tuple[tuple[str, list[str]], ...]:
    return tuple(zip(_KINDS, (case.problems, case.warnings, case.notes), strict=True))


def _print_findings(cases: Sequence[CheckedCase]) -> None:
    """One line per finding, with the cases that it is about; a table has no room for sentences."""
    from slicewise.cli.console import show

    about: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        for kind, texts in _findings(case):
            for text in texts:
                about.setdefault((kind, text), []).append(case.name)
    shown = sorted(about.items(), key=lambda item: _KINDS.index(item[0][0]))
    for (kind, text), names in shown[:_MOST_FINDINGS]:
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        named = ", ".join(names[:_MOST_NAMES]) + more
        show(f"{named}: {kind}: {text}")
    if len(shown) > _MOST_FINDINGS:
        left = len(shown) - _MOST_FINDINGS
        show(f"... and {left} more findings; --json and --html list them all")
