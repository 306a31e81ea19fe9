"""Writes the model card of a trained model.

Source of the outline: Mitchell et al., Model Cards for Model Reporting, FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slicewise import __version__
from slicewise.config import NETWORKS, UNET, Config, NetworkSection
from slicewise.evaluation.results import RunFacts
from slicewise.evaluation.scores import Score
from slicewise.evaluation.statistics import (
    METRICS,
    Distribution,
    StructureSummary,
    mean_dice_interval,
    summarize,
)
from slicewise.quantities import counted

_SHOWN = ("dice", "hd95_mm", "surface_dice")


def model_card(config: Config, folds: Sequence[RunFacts], scores: Sequence[Score]) -> str:
    """Write a model card: intended use, training data, evaluation, limitations.

    Args:
        config: of the training.
        folds: facts of each fold whose network is part of the model.
        scores: of all held-out cases of these folds.

    Returns:
        Markdown, without names of patients or paths.
    """
    return "\n".join(
        [
            f"# {config.model_name}",
            "",
            f"Segments {_listed(config.data.labels)} in {_listed(config.data.contrasts)}. Trained "
            f"with slicewise {__version__} on {max(fold.date for fold in folds)}.",
            "",
            *_section("Intended use", _intended_use(config)),
            *_section("Training data", _data(config, folds)),
            *_section("Training", _training(config, folds)),
            "## Evaluation on held-out cases",
            "",
            *_metrics(folds, scores),
            "",
            *_section("Limitations", _limits(folds)),
        ]
    )


def _section(title: str, lines: Iterator[str]) -> list[str]:
    return [f"## {title}", "", *(f"- {line}" for line in lines), ""]


def _intended_use(config: Config) -> Iterator[str]:
    yield "Research on scans like the training data. Masks need review by an expert."
    yield (
        f"Input: {_listed(config.data.contrasts)}, one volume each, as NIfTI, DICOM or picture; "
        "the model includes its preprocessing."
    )
    values = ", ".join(f"{value} {name}" for name, value in config.data.labels.items())
    yield f"Output: a label map on the grid of the scan, with the values {values}."


def _data(config: Config, folds: Sequence[RunFacts]) -> Iterator[str]:
    cases = sum(fold.validation_cases for fold in folds)
    if len(folds) == 1:
        (fold,) = folds
        yield (
            f"Trained on {fold.training_cases} cases of {fold.training_patients} patients; "
            f"{fold.validation_cases} cases of {fold.validation_patients} patients were held out."
        )
    else:
        yield (
            f"An ensemble of {len(folds)} networks, one per fold; each of the {cases} cases was "
            "held out from the training of one network."
        )
    yield f"Folds {folds[0].folds}."
    lost = {name for fold in folds for name in fold.set_aside}
    if lost:
        yield f"Cases excluded as unusable: {len(lost)}."
    yield from _scans(folds)
    yield f"Licence of the data: {config.data.licence or 'not stated'}."


def _scans(folds: Sequence[RunFacts]) -> Iterator[str]:
    """What the scans looked like; those of the first fold and its held-out cases are all scans."""
    looks = folds[0].scans
    if not looks:
        return
    for term, text in looks.items():
        yield f"{term.capitalize()}: {text}."
    cases = sum(fold.validation_cases for fold in folds)
    unlike = sum(len(fold.unlike) for fold in folds)
    yield (
        f"Each scan is compared with these at prediction. Unlike all others: {unlike} of "
        f"{counted(cases, 'held-out case')}."
    )


def _training(config: Config, folds: Sequence[RunFacts]) -> Iterator[str]:
    network, training = config.network, config.training
    rows, columns = network.window
    yield (
        f"{_described(network)}, windows of {rows} x {columns}, "
        f"plane {config.preprocessing.plane}, {network.context_slices} neighbouring slices on "
        f"either side{', coordinates' if network.coordinates else ''}."
    )
    steps = "" if training.steps is None else f"{training.steps} steps of "
    minutes = sum(fold.seconds for fold in folds) / 60
    yield (
        f"{steps}{training.batch_size} slices, {minutes:.1f} minutes in total, seed {config.seed}."
    )
    yield f"Checkpoint: {training.keep}."


def _described(network: NetworkSection) -> str:
    if network.name == UNET:
        return f"U-Net, channels {', '.join(map(str, network.features))}"
    options = network.options.model_dump(mode="json").items()
    settings = ", ".join(f"{key} {value}" for key, value in options)
    return f"Network {network.name} of {NETWORKS.package_of(network.name)} ({settings})"


def _metrics(folds: Sequence[RunFacts], scores: Sequence[Score]) -> Iterator[str]:
    titles = [METRICS[key].title for key in _SHOWN]
    yield f"| structure | {' | '.join(titles)} | cases | false negative |"
    yield "|---" * (len(titles) + 3) + "|"
    for item in summarize(scores):
        cells = [_figure(item.metrics[key], METRICS[key].digits) for key in _SHOWN]
        yield f"| {item.structure} | {' | '.join(cells)} | {_cases(item)} | {item.false_negative} |"
    yield f"| mean | {_figure(mean_dice_interval(scores), 4)} | | | | |"
    yield ""
    yield "Means over cases, in brackets their 95 % interval (patient-level bootstrap)."
    if len(folds) > 1:
        yield (
            "Out-of-fold: each case was scored by the one network not trained on it, not by the "
            "ensemble."
        )


def _limits(folds: Sequence[RunFacts]) -> Iterator[str]:
    yield "Not a medical device; not for diagnosis or treatment."
    yield (
        "Untested on scanners, sequences, ages and diseases outside the training data; predictions "
        "name scans that look unlike it."
    )
    if shared := sum(fold.shared_patients for fold in folds):
        yield (
            f"{shared} patients were on both sides of a fold: the figures are "
            "optimistically biased."
        )


def _cases(item: StructureSummary) -> int:
    return item.cases - item.undefined


def _figure(found: Distribution, digits: int) -> str:
    interval = (
        "" if found.low != found.low else f" [{found.low:.{digits}f}, {found.high:.{digits}f}]"
    )
    return "-" if found.mean != found.mean else f"{found.mean:.{digits}f}{interval}"


def _listed(names: Sequence[str] | dict[str, int]) -> str:
    return ", ".join(names)
