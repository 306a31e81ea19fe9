"""The report of a run: its scores, failures, comparisons, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from matplotlib.figure import Figure

from slicewise.config import UNET
from slicewise.errors import UsageError
from slicewise.evaluation.caveats import caveats_by_metric
from slicewise.evaluation.comparison import compare
from slicewise.evaluation.results import CONFIG, Results
from slicewise.evaluation.scored_run import ScoredRun, distinct_names
from slicewise.evaluation.scores import are_in_pixels
from slicewise.evaluation.statistics import mean_dice_interval, summarize
from slicewise.imaging.structures import structures_of
from slicewise.progress import Progress
from slicewise.reporting.figures.architecture import architecture_figure
from slicewise.reporting.report.contents import Compared, Report
from slicewise.reporting.report.failures import find_failures
from slicewise.segmentation.architecture import describe_layers
from slicewise.segmentation.networks import build_network
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.run_index import RunPlace
from slicewise.workflows.report_cases import CaseReader, with_cases
from slicewise.workflows.scored_runs import find_scores, scores_of

if TYPE_CHECKING:
    from slicewise.workflows.report import ReportOptions

COMPARED_METRICS = ("dice", "surface_dice", "hd95_mm")
_SHORT_ID = 8

Kind = Literal["baseline", "other run"]


def report_of_run(options: ReportOptions, place: RunPlace, progress: Progress) -> Report:
    """Read a run, judge it, compare it, and draw the cases that a report shows.

    Args:
        options: what is reported.
        place: where the run and its data set lie.
        progress: receives how far the drawing is, and sentences about cases without a picture.

    Raises:
        UsageError: nothing to compare yet, or no baseline where one is named.
        DataError: no run, one without a case in common with the other, or a damaged one.
    """
    folds = RunFolder(place.folder).results()
    config = folds[0].config
    scores = tuple(score for fold in folds for score in fold.scores)
    unlike = {
        name: reasons
        for fold in folds
        if fold.facts is not None
        for name, reasons in fold.facts.unlike.items()
    }
    report = Report(
        name=config.name,
        folds=tuple(folds),
        structures=structures_of(config.data.labels, config.structures),
        scores=scores,
        summaries=tuple(summarize(scores)),
        headline=mean_dice_interval(scores) if scores else None,
        volumes_ml={},
        failures=tuple(find_failures(scores, unlike)),
        compared=tuple(_compared(options, folds)),
        cases=(),
        viewer=None,
        network=_network(folds),
        notes=tuple(_notes(options, folds)),
        provenance=dict(_provenance(place.folder, folds)),
        in_pixels=are_in_pixels(scores),
    )
    root = place.data_root
    reader = CaseReader.of_run(folds, report.structures, root, options.work, progress)
    return with_cases(report, reader, progress, viewer=options.viewer)


def _compared(options: ReportOptions, folds: Sequence[Results]) -> Iterator[Compared]:
    own = scores_of(folds)
    runs: tuple[tuple[Kind, str | Path | None], ...] = (
        ("baseline", options.baseline),
        ("other run", options.against),
    )
    for kind, run in runs:
        if run is None:
            continue
        if not own.scores:
            raise UsageError(
                options.run,
                expected="a run with scores, to be compared",
                found="an unfinished run without scores",
                remedy="finish the run, or leave it out",
            )
        other = find_scores(run, options.work)
        if kind == "baseline":
            _require_baseline(run, other)
        yield _comparison(kind, other, own)


def _comparison(kind: Kind, other: ScoredRun, own: ScoredRun) -> Compared:
    names = distinct_names(other, own)
    if kind == "baseline" and all(facts.kind == "network" for facts in own.facts):
        names = ("baseline", "network")
    comparisons = tuple(compare(other.scores, own.scores, names, key) for key in COMPARED_METRICS)
    return Compared(
        kind,
        names[0],
        mean_dice_interval(other.scores),
        comparisons,
        tuple(caveats_by_metric(comparisons, other, own)),
    )


def _require_baseline(run: str | Path, other: ScoredRun) -> None:
    kinds = sorted({facts.kind for facts in other.facts})
    if kinds != ["baseline"]:
        raise UsageError(
            f"`baseline` {run}",
            expected="a classical baseline that `slicewise baseline` wrote",
            found=f"a {' and a '.join(kinds)}" if kinds else "scores of unknown origin",
            remedy="give any other run with `against`",
        )


def _notes(options: ReportOptions, folds: Sequence[Results]) -> Iterator[str]:
    unscored = [fold for fold in folds if not fold.scores]
    if unscored:
        if len(unscored) < len(folds):
            yield f"{len(unscored)} of {len(folds)} folds did not come to their scores."
        elif any(map(_is_network, folds)):
            yield (
                "This run did not come to its scores: only its training is shown. Go on with "
                "`slicewise train --resume`, then report again."
            )
        else:
            yield "This run did not come to its scores. Let it come to its end, then report again."
    if any(fold.is_edited for fold in folds):
        yield f"{CONFIG} of this run was edited by hand: it may differ from what was trained."
    facts = folds[0].facts
    if options.baseline is None and facts is not None and facts.kind == "network":
        place = f"runs/{facts.name}-baseline/fold-{facts.fold}"
        if len(folds) == 1 and (options.work / place).is_dir():
            yield (
                "A classical baseline of this fold lies in the work folder; to compare it with the "
                f"network, report again with --baseline WORK/{place}."
            )


def _provenance(run: Path, folds: Sequence[Results]) -> Iterator[tuple[str, str]]:
    facts = [fold.facts for fold in folds if fold.facts is not None]
    config = folds[0].config
    is_network = any(map(_is_network, folds))
    is_baseline = bool(facts) and not is_network
    what = "U-Net" if is_network else "classical baseline" if is_baseline else "unfinished run"
    numbers = ", ".join(str(item.fold) for item in facts)
    yield "what", f"{what}, fold{'s' * (len(facts) > 1)} {numbers}" if facts else what
    if facts:
        yield "date", max(item.date for item in facts)
        yield "version", f"slicewise {facts[0].version}"
    folders = [RunFolder(fold.folder) for fold in folds]
    ids = [folder.run_id()[:_SHORT_ID] for folder in folders if folder.has_run]
    if ids:
        yield "run", "run " + ", ".join(ids)
    if is_network and config.training.steps:
        yield "steps", f"{config.training.steps:,} steps"
    if facts:
        minutes = sum(item.seconds for item in facts) / 60
        yield "time", f"{minutes:.1f} min of {'fitting' if is_baseline else 'training'}"
    yield "seed", f"seed {config.seed}"
    # Of several folds: each of them, then their ensemble.
    models = [folder.registered() for folder in dict.fromkeys((*folders, RunFolder(run)))]
    if any(models):
        yield "model", ", ".join(dict.fromkeys(text for text in models if text))


def _network(folds: Sequence[Results]) -> Figure | None:
    if not any(map(_is_network, folds)):
        return None
    config = folds[0].config
    if config.network.name != UNET:
        return None
    rows = describe_layers(build_network(config), *config.network.window)
    return architecture_figure(rows, config.in_channels)


def _is_network(fold: Results) -> bool:
    """Whether a network was trained, as far as the folder tells; a baseline leaves no training."""
    if fold.facts is not None:
        return fold.facts.kind == "network"
    return RunFolder(fold.folder).has_training or bool(fold.losses or fold.validations)
