"""Pictures of the cases that a report shows, and a viewer of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from slicewise.config import Config
from slicewise.dataset.catalogue import Case
from slicewise.dataset.layouts import read_catalogue, read_images
from slicewise.dataset.plane import PLANES, slice_axis
from slicewise.dataset.work_folder import WorkFolder
from slicewise.errors import ScanError, SlicewiseError
from slicewise.evaluation.predict_and_score import mask_path
from slicewise.evaluation.results import Results
from slicewise.imaging.memory import within_memory
from slicewise.imaging.scan import ScanSource, read_label, read_scan
from slicewise.imaging.structures import Structure
from slicewise.progress import Progress, tracked
from slicewise.quantities import listed
from slicewise.reporting.report.case_choice import Choice, choose_cases
from slicewise.reporting.report.case_panels import ShownCase, draw_case
from slicewise.reporting.report.contents import Report, ReportedCase
from slicewise.reporting.report.text import component_notes
from slicewise.reporting.viewer.page import ViewedMask, ViewedScan, viewer_parts
from slicewise.tracking.run_folder import RunFolder

MOST_VIEWER_BYTES = 6_000_000
"""As text; with the renderer the page stays well below 15 MB."""
_MOST_VIEWED_VOXELS = 30_000_000
"""Of all scans together; more would not fit, however well they are compressed."""


@dataclass(frozen=True)
class CaseReader:
    """Finds the voxels of a case by its name.

    Attributes:
        config: how scans are read.
        structures: what the values mean.
        images: case to its first contrast.
        labels: case to its reference, where there is one.
        masks: case to its prediction.
        reason: why images are missing; empty where none is.
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
        progress: Progress,
    ) -> CaseReader:
        """A reader of the held-out cases of a run; the data set may be gone."""
        config = folds[0].config
        cases, reason = _cases(folds, root, work, progress)
        folders = {score.case: RunFolder(fold.folder) for fold in folds for score in fold.scores}
        return cls(
            config,
            structures,
            {name: case.images[0] for name, case in cases.items()},
            {name: case.label for name, case in cases.items() if case.label is not None},
            {name: mask_path(folders[name].masks, case) for name, case in cases.items()},
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


def with_cases(report: Report, reader: CaseReader, progress: Progress, *, viewer: bool) -> Report:
    """The report with its cases drawn, and with notes about those that cannot be shown."""
    wanted = choose_cases(report)
    if not wanted:
        return report
    chosen = [choice for choice in wanted if choice.name in reader.images]
    if reader.reason:
        report = replace(report, notes=(*report.notes, reader.reason))
    if not chosen:
        return report
    drawn = _draw(chosen, reader, progress)
    notes = [f"No picture could be made of {listed(drawn.failed)}."] if drawn.failed else []
    parts = viewer_parts(drawn.views, MOST_VIEWER_BYTES) if viewer and drawn.views else None
    if viewer:
        notes += _left_out([*drawn.too_large, *(parts.left_out if parts else ())])
    return replace(
        report,
        cases=tuple(drawn.cases),
        viewer=parts,
        notes=(*report.notes, *_not_all(report, chosen), *notes),
    )


@dataclass(frozen=True)
class _Drawn:
    """Cases with their pictures, scans for the viewer, and what came of neither."""

    cases: list[ReportedCase] = field(default_factory=list)
    views: list[ViewedScan] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    too_large: list[str] = field(default_factory=list)


def _draw(chosen: Sequence[Choice], reader: CaseReader, progress: Progress) -> _Drawn:
    done = _Drawn()
    for choice in tracked(chosen, progress, "drawing cases", len(chosen)):
        try:
            with within_memory(choice.name):
                shown = reader.read(choice.name)
                done.cases.append(_reported(choice, shown, reader.config))
        except ScanError as error:
            done.failed.append(choice.name)
            progress.message(f"no picture of {choice.name}: {error.reason}")
            continue
        done.views.append(_view(shown, choice.role))
        if sum(view.scan.voxels.size for view in done.views) > _MOST_VIEWED_VOXELS:
            done.too_large.append(done.views.pop().title)
    return done


def _cases(
    folds: Sequence[Results], root: Path | None, work: Path, progress: Progress
) -> tuple[dict[str, Case], str]:
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
        scanner = WorkFolder(work).scanner(config.reading, progress)
        found = {case.name: case for case in read_catalogue(data, scanner).cases}
        if wanted - set(found):
            # Cases whose reference is gone.
            listing = read_images(root, data.contrasts, scanner, data.missing_contrasts)
            for name, sources in listing.images.items():
                found.setdefault(name, Case(name, name, sources, None))
    except SlicewiseError as error:
        progress.message(f"the data set cannot be read: {error}")
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
        tuple(component_notes(shown.predicted, shown.reference, shown.structures))
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
