"""A run as a user names it in, everything that its report tells out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from slicewise.cli.comparison_run import run_names, scored_run
from slicewise.cli.report_cases import CaseReader, reported_cases
from slicewise.cli.report_masks import masks_in, report_of_masks
from slicewise.config import UNET
from slicewise.errors import UsageError
from slicewise.evaluation.caveats import caveats_by_metric
from slicewise.evaluation.comparison import compare
from slicewise.evaluation.results import CONFIG, Results, read_results
from slicewise.evaluation.scored_run import ScoredRun
from slicewise.evaluation.statistics import mean_dice_interval, summarize
from slicewise.imaging.structures import structures_of
from slicewise.reporting.figures.architecture import architecture_figure
from slicewise.reporting.report.contents import Compared, Report
from slicewise.reporting.report.failures import find_failures
from slicewise.reporting.report.folder import PAGE, SLIDES
from slicewise.segmentation.architecture import describe_layers
from slicewise.segmentation.networks import build_network
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.run_index import find_run
from slicewise.tracking.spool.spool import known_id
from slicewise.tracking.store import answering, open_store

COMPARED_METRICS = ("dice", "surface_dice", "hd95_mm")
_SHORT_ID = 8


@dataclass(frozen=True)
class ReportJob:
    """What is reported, and beside what.

    Attributes:
        run: as it was named.
        folder: where it lies.
        data_root: the data set; None where it is not known.
        work: of headers, pseudonyms and private records.
        baseline: run of the classical baseline.
        against: another run.
        with_viewer: whether the page has a viewer.
    """

    run: str
    folder: Path
    data_root: Path | None
    work: Path
    baseline: str | None
    against: str | None
    with_viewer: bool

    @classmethod
    def of(
        cls,
        run: str,
        work: Path,
        data: Path | None,
        baseline: str | None,
        against: str | None,
        *,
        with_viewer: bool,
    ) -> ReportJob:
        """Find the run.

        Raises:
            UsageError: a file, or a data set that is not there.
            DataError, ModelError: no such run.
        """
        if Path(run).is_file():
            raise UsageError(
                run,
                expected="the folder of a run, or of masks",
                found="a file",
                remedy="give its folder; scores alone are compared by `slicewise compare`",
            )
        if data is not None and not data.exists():
            raise UsageError(
                f"--data {data}",
                expected="the data set",
                found="no such file or folder",
                remedy="correct the path",
            )
        place = find_run(run, work)
        return cls(run, place.folder, data or place.data_root, work, baseline, against, with_viewer)


def tracked_id(job: ReportJob) -> str:
    """The id under which a run is tracked.

    Raises:
        DataError: the folder is that of no run.
    """
    return RunFolder(job.folder).run_id()


def attach_report(folder: Path, run_id: str, work: Path) -> None:
    """Log page and PDF of a report to its run.

    Raises:
        OutputError: the store does not answer, or refuses.
    """
    store = open_store(work)
    with answering(store, f"run {run_id}"):
        for name in (PAGE, SLIDES):
            store.client.log_artifact(known_id(store, run_id), str(folder / name), "report")


def gather(job: ReportJob) -> Report:
    """Read a run, judge it, and draw the cases that tell most.

    Raises:
        DataError: no run, one without a case in common with another, or a damaged one.
        UsageError: a comparison with masks that have no scores.
    """
    is_run = (job.folder / CONFIG).is_file() or any(job.folder.glob(f"fold-*/{CONFIG}"))
    if not is_run and masks_in(job.folder):
        if job.baseline or job.against:
            raise UsageError(
                "--baseline" if job.baseline else "--against",
                expected="a run with scores",
                found=f"{job.folder}, which holds masks alone",
                remedy="score them first: `slicewise evaluate`, then `slicewise compare`",
            )
        return report_of_masks(job.folder, job.data_root, job.work, with_viewer=job.with_viewer)
    folds = read_results(job.folder)
    config = folds[0].config
    scores = tuple(score for fold in folds for score in fold.scores)
    report = Report(
        name=config.name,
        folds=tuple(folds),
        structures=structures_of(config.data.labels, config.structures),
        scores=scores,
        summaries=tuple(summarize(scores)),
        headline=mean_dice_interval(scores) if scores else None,
        volumes_ml={},
        failures=tuple(find_failures(scores)),
        compared=tuple(_compared(job, folds)),
        cases=(),
        viewer=None,
        network=_network(folds),
        notes=tuple(_notes(job, folds)),
        provenance=dict(_provenance(folds)),
    )
    reader = CaseReader.of_run(folds, report.structures, job.data_root, job.work)
    return reported_cases(report, reader, with_viewer=job.with_viewer)


def _compared(job: ReportJob, folds: Sequence[Results]) -> Iterator[Compared]:
    own = ScoredRun.of_folds(folds)
    if job.baseline is not None:
        yield _beside(job, own, job.baseline, "baseline")
    if job.against is not None:
        yield _beside(job, own, job.against, "other run")


def _beside(job: ReportJob, own: ScoredRun, run: str, kind: str) -> Compared:
    if not own.scores:
        raise UsageError(
            job.run,
            expected="a run with scores, to be compared",
            found="one that did not come to its scores",
            remedy="let the run come to its end, or leave the other run out",
        )
    other = scored_run(run, job.work)
    is_baseline = kind == "baseline"
    if is_baseline:
        _require_baseline(run, other)
    is_network = all(facts.kind == "network" for facts in own.facts)
    names = ("baseline", "network") if is_baseline and is_network else run_names(run, job.run)
    comparisons = tuple(compare(other.scores, own.scores, names, key) for key in COMPARED_METRICS)
    return Compared(
        "baseline" if is_baseline else "other run",
        names[0],
        mean_dice_interval(other.scores),
        comparisons,
        tuple(caveats_by_metric(comparisons, other, own)),
    )


def _require_baseline(run: str, other: ScoredRun) -> None:
    kinds = sorted({facts.kind for facts in other.facts})
    if kinds != ["baseline"]:
        raise UsageError(
            f"--baseline {run}",
            expected="a classical baseline, as `slicewise baseline` leaves it",
            found=f"a {' and a '.join(kinds)}" if kinds else "scores of unknown origin",
            remedy="name any other run by --against",
        )


def _notes(job: ReportJob, folds: Sequence[Results]) -> Iterator[str]:
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
    facts = folds[0].facts
    if job.baseline is None and facts is not None and facts.kind == "network":
        place = f"runs/{facts.name}-baseline/fold-{facts.fold}"
        if len(folds) == 1 and (job.work / place).is_dir():
            yield (
                "A classical baseline of this fold lies in the work folder; to set it beside the "
                f"network, report again with --baseline WORK/{place}."
            )


def _provenance(folds: Sequence[Results]) -> Iterator[tuple[str, str]]:
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
    ids = [_json_of(fold.folder / "run.json").get("run_id", "") for fold in folds]
    if any(ids):
        yield "run", "run " + ", ".join(text[:_SHORT_ID] for text in ids if text)
    if is_network and config.training.steps:
        yield "steps", f"{config.training.steps:,} steps"
    if facts:
        minutes = sum(item.seconds for item in facts) / 60
        yield "time", f"{minutes:.1f} min of {'fitting' if is_baseline else 'training'}"
    yield "seed", f"seed {config.seed}"
    places = [fold.folder / "model.json" for fold in folds]
    if len(folds) > 1:
        places.append(folds[0].folder.parent / "ensemble.json")
    models = [_json_of(place).get("registered", "") for place in places]
    if any(models):
        yield "model", ", ".join(dict.fromkeys(text for text in models if text))


def _json_of(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    content: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return content


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
    return (fold.folder / "last.pt").is_file() or bool(fold.losses or fold.validations)
