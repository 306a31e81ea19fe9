"""``slicewise check``: the doctor of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Overrides

if TYPE_CHECKING:
    from pipeline.config import DataSection
    from pipeline.dataset.catalogue import Catalogue
    from pipeline.dataset.checking import CheckedCase

_MOST_ROWS = 20


def check(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of scans or CSV manifest.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every finding as JSON.")
    ] = None,
    config_file: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Labels, patients, layout.")
    ] = None,
    allow_unpaired: Annotated[
        bool, typer.Option("--allow-unpaired", help="Go on without images or labels that miss.")
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Tell what a data set holds and what is wrong with it, before hours of work are lost.

    Exit code 8: some scans would be set aside. 1: the data set is unusable as it is.

    Examples:
      slicewise check Task04_Hippocampus --config configs/hippocampus.yaml

      slicewise check my_scans --json findings.json
    """
    from pipeline.cli.console import tracked
    from pipeline.cli.tables import SET_ASIDE, report_set_aside
    from pipeline.dataset.checking import check_cases, mark_duplicates
    from pipeline.dataset.layouts import read_catalogue

    section = _section(data, config_file, overrides or [], allow_unpaired=allow_unpaired)
    catalogue = read_catalogue(section)
    cases = list(tracked(check_cases(catalogue, section), "checking", len(catalogue.cases)))
    mark_duplicates(cases)
    _show(cases, catalogue, section)
    report_set_aside(catalogue.set_aside)
    if json_file is not None:
        _write_json(json_file, cases, catalogue)
    if catalogue.set_aside or any(case.problems for case in cases):
        raise typer.Exit(SET_ASIDE)


def _section(
    root: Path, config_file: Path | None, overrides: list[str], *, allow_unpaired: bool
) -> DataSection:
    from pipeline.config import load_config, parse_config

    overrides = [*overrides, f"data.root={root}"]
    if allow_unpaired:
        overrides.append("data.allow_unpaired=true")
    if config_file is not None:
        return load_config(config_file, overrides).data
    # A check needs no training; the section wants a budget all the same.
    bare = "name: check\ndata: {}\ntraining: {steps: 1}\n"
    return parse_config(bare, "check", overrides).data


def _show(cases: list[CheckedCase], catalogue: Catalogue, section: DataSection) -> None:
    from pipeline.cli.console import note, show_table
    from pipeline.dataset.checking import unused_labels

    # Problems first; a long list of sound cases is cut.
    ranked = sorted(cases, key=lambda case: (not case.problems, not case.warnings, case.name))
    columns = ("case", "shape", "spacing mm", "axes", "intensities", "finding")
    show_table(f"{len(cases)} cases", columns, [_row(case) for case in ranked[:_MOST_ROWS]])
    if len(ranked) > _MOST_ROWS:
        note(f"... and {len(ranked) - _MOST_ROWS} more; --json FILE lists them all")
    patients = len({case.patient for case in cases})
    labelled = len(catalogue.labelled)
    broken = sum(bool(case.problems) for case in cases)
    note(f"{len(cases)} cases of {patients} patients, {labelled} with labels, {broken} unusable")
    if all(case.patient == case.name for case in cases) and len(cases) > 1:
        note("each case counts as one patient; set data.patient_pattern if some share one")
    if unused := unused_labels(cases, section):
        note(f"no case has the label values {unused} of data.labels")


def _row(case: CheckedCase) -> tuple[str, ...]:
    return (
        case.name,
        "x".join(map(str, case.shape)),
        "x".join(f"{value:.3g}" for value in case.spacing_mm),
        case.orientation,
        "" if case.intensities is None else "{:.4g}..{:.4g}".format(*case.intensities),
        "; ".join([*(f"PROBLEM {text}" for text in case.problems), *case.warnings]) or "ok",
    )


def _write_json(path: Path, cases: list[CheckedCase], catalogue: Catalogue) -> None:
    import json
    from dataclasses import asdict

    from pipeline.imaging.files import write_text

    content: dict[str, Any] = {
        "cases": [asdict(case) for case in cases],
        "set_aside": [
            {"name": item.name, "reason": item.reason, "remedy": item.remedy}
            for item in catalogue.set_aside
        ],
    }
    write_text(path, json.dumps(content, indent=2) + "\n", private=True)
