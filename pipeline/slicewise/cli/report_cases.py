"""A judged run in; out the same with pictures of the cases that tell most, and a viewer of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slicewise.cli.bridge import scanning, tracked
from slicewise.cli.console import note
from slicewise.config import Config
from slicewise.dataset.catalogue import Case, listed
from slicewise.dataset.layouts import read_catalogue, read_images
from slicewise.dataset.plane import PLANES, slice_axis
from slicewise.errors import ScanError, SlicewiseError
from slicewise.evaluation.predict_and_score import mask_path
from slicewise.evaluation.results import MASKS, Results
from slicewise.imaging.scan import ScanSource, read_label, read_scan
from slicewise.imaging.structures import Structure
from slicewise.reporting.report.case_panels import ShownCase, draw_case
from slicewise.reporting.report.contents import Report, ReportedCase
from slicewise.reporting.report.stray import stray_notes
from slicewise.reporting.viewer.page import ViewedMask, ViewedScan, viewer_parts

MOST_FAILURES = 9
MOST_VIEWER_BYTES = 6_000_000
"""As text; with the renderer the page stays well below 15 MB."""
_MOST_VIEWED_VOXELS = 30_000_000
"""Of all scans together; more would not fit, however well they are compressed."""


@dataclass(frozen=True)
class Choice:
    """A case that is shown.

    Attributes:
        name: of the case.
        role: why.
        by_errors: whether the slice with most errors is shown.
    """

    name: str
    role: str
    by_errors: bool


@dataclass(frozen=True)
class CaseReader:
    """Finds the voxels of a case by its name.

    Attributes:
        config: how scans are read; None for masks alone.
        structures: what the values mean.
        images: case to its first contrast.
        labels: case to its reference, where there is one.
        masks: case to its prediction.
        reason: why images are missing, to be told; empty where none is.
    """

    config: Config
    structures: tuple[Structure, ...]
    images: Mapping[str, ScanSource]
    labels: Mapping[str, ScanSource]
    masks: Mapping[str, Path]
    reason: str = ""

    @classmethod
    def of_run(
        cls,
        folds: Sequence[Results],
        structures: tuple[Structure, ...],
        root: Path | None,
        work: Path,
    ) -> CaseReader:
        """A reader of the held-out cases of a run; the data set may be gone."""
        config = folds[0].config
        cases, reason = _cases(folds, root, work)
        folders = {score.case: fold.folder for fold in folds for score in fold.scores}
        return cls(
            config,
            structures,
            {name: case.images[0] for name, case in cases.items()},
            {name: case.label for name, case in cases.items() if case.label is not None},
            {name: mask_path(folders[name] / MASKS, case) for name, case in cases.items()},
            reason,
        )

    def read(self, name: str) -> ShownCase:
        """Scan, prediction and reference of a case.

        Raises:
            ScanError: one of them is missing, damaged or on another grid.
        """
        reading, values = self.config.reading, self.config.data.labels
        scan = read_scan(self.images[name], reading)
        predicted = read_label(self.masks[name], scan, reading, values)
        reference = None
        if name in self.labels:
            reference = read_label(self.labels[name], scan, reading, values)
        return ShownCase(name, scan, predicted, reference, self.structures)


def reported_cases(report: Report, reader: CaseReader, *, with_viewer: bool) -> Report:
    """Read and draw the cases that tell most; what cannot be shown is told."""
    wanted = choose_cases(report)
    if not wanted:
        return report
    chosen = [choice for choice in wanted if choice.name in reader.images]
    if reader.reason:
        report = replace(report, notes=(*report.notes, reader.reason))
    if not chosen:
        return report
    cases: list[ReportedCase] = []
    views: list[ViewedScan] = []
    failed: list[str] = []
    too_large: list[str] = []
    for choice in tracked(chosen, "drawing cases", len(chosen)):
        try:
            shown = reader.read(choice.name)
            cases.append(_reported(choice, shown, reader.config))
        except ScanError as error:
            failed.append(choice.name)
            note(f"no picture of {choice.name}: {error.reason}")
            continue
        views.append(_view(shown, choice.role))
        if sum(view.scan.voxels.size for view in views) > _MOST_VIEWED_VOXELS:
            too_large.append(views.pop().title)
    notes = [f"No picture could be made of {listed(failed)}."] if failed else []
    viewer = viewer_parts(views, MOST_VIEWER_BYTES) if with_viewer and views else None
    if with_viewer:
        notes += _left_out([*too_large, *(viewer.left_out if viewer else ())])
    return replace(
        report,
        cases=tuple(cases),
        viewer=viewer,
        notes=(*report.notes, *_not_all(report, chosen), *notes),
    )


def choose_cases(report: Report) -> list[Choice]:
    """Best, median and worst case, then those that fail; of masks alone, by volume."""
    if report.volumes_ml:
        values = _total_volumes(report.volumes_ml)
        roles = ("largest", "median volume", "smallest")
    else:
        values = _mean_dice(report)
        roles = ("best", "median", "worst")
    ranked = sorted(values, key=lambda name: (-values[name], name))
    chosen = _spread(ranked, roles)
    known = {choice.name for choice in chosen}
    kinds: dict[str, str] = {}
    for failure in report.failures:
        kinds.setdefault(failure.case, failure.kind)
    rest = [Choice(name, kind, by_errors=True) for name, kind in kinds.items() if name not in known]
    return [*chosen, *rest[:MOST_FAILURES]]


def _spread(ranked: Sequence[str], roles: tuple[str, str, str]) -> list[Choice]:
    """First, middle and last of a ranking, as far as there are so many."""
    if len(ranked) < 2:
        return [Choice(name, "the only case", by_errors=True) for name in ranked]
    places = {0: roles[0], len(ranked) - 1: roles[2]}
    if len(ranked) > 2:
        places[len(ranked) // 2] = roles[1]
    return [
        Choice(ranked[place], places[place], by_errors=places[place] == "worst")
        for place in sorted(places)
    ]


def _cases(folds: Sequence[Results], root: Path | None, work: Path) -> tuple[dict[str, Case], str]:
    """Held-out cases of a run that lie in its data set, or why there are none."""
    again = "Report again with --data DIR."
    if root is None:
        return {}, f"No pictures of cases: where the data set lies is not remembered. {again}"
    if not root.exists():
        return {}, f"No pictures of cases: the data set is not where it was. {again}"
    wanted = {score.case for fold in folds for score in fold.scores}
    config = folds[0].config
    # Only the first contrast is drawn.
    changes = {"root": root, "allow_unpaired": True, "missing_contrasts": "zero"}
    data = config.data.model_copy(update=changes)
    try:
        with scanning(work, config.reading) as scanner:
            found = {case.name: case for case in read_catalogue(data, scanner).cases}
            if wanted - set(found):
                # Cases whose reference is gone.
                listing = read_images(root, data.contrasts, scanner, data.missing_contrasts)
                for name, sources in listing.images.items():
                    found.setdefault(name, Case(name, name, sources, None))
    except SlicewiseError as error:
        note(f"the data set cannot be read: {error}")
        return {}, f"No pictures of cases: the data set cannot be read again. {again}"
    cases = {name: case for name, case in found.items() if name in wanted}
    if wanted and not cases:
        return {}, f"No pictures of cases: none of them lies in the data set. {again}"
    if missing := len(wanted) - len(cases):
        return cases, f"{missing} of {len(wanted)} cases do not lie in the data set any more."
    return cases, ""


def _reported(choice: Choice, shown: ShownCase, config: Config) -> ReportedCase:
    plane = PLANES[slice_axis(shown.scan, config.preprocessing)]
    panels = draw_case(shown, plane, by_errors=choice.by_errors)
    notes = (
        tuple(stray_notes(shown.predicted, shown.reference, shown.structures))
        if shown.reference is not None
        else ("the reference of this case is not there",) * bool(config.data.labels)
    )
    return ReportedCase(panels, choice.role, notes)


def _view(shown: ShownCase, role: str) -> ViewedScan:
    masks = [ViewedMask("prediction", shown.predicted, shown.structures)]
    if shown.reference is not None:
        masks.append(ViewedMask("reference", shown.reference, shown.structures))
    return ViewedScan(f"{shown.name} ({role})", shown.scan, tuple(masks))


def _left_out(titles: Sequence[str]) -> list[str]:
    if not titles:
        return []
    return [f"The viewer has no room for {listed(titles)}; `slicewise view` shows any scan."]


def _not_all(report: Report, chosen: Sequence[Choice]) -> Iterator[str]:
    """Says that more cases stand out than are shown."""
    failing = {failure.case for failure in report.failures}
    shown = failing & {choice.name for choice in chosen}
    if 0 < len(shown) < len(failing):
        yield (
            f"Pictures of the {len(shown)} worst of {len(failing)} cases that stand out; the list "
            "of failures names all."
        )


def _mean_dice(report: Report) -> dict[str, float]:
    """Mean over the structures where Dice is defined."""
    values: dict[str, list[float]] = {}
    for score in report.scores:
        if not math.isnan(score.dice):
            values.setdefault(score.case, []).append(score.dice)
    return {name: sum(dice) / len(dice) for name, dice in values.items()}


def _total_volumes(volumes_ml: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for of_cases in volumes_ml.values():
        for name, value in of_cases.items():
            totals[name] = totals.get(name, 0.0) + value
    return totals
