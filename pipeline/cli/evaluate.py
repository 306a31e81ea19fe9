"""``slicewise evaluate``: masks and references in, a CSV and a table out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="Mask or folder.")],
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="Reference or folder.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.csv", help="Row a case, structure.")],
    config_file: Annotated[
        Path | None,
        typer.Option("--config", metavar="CONFIG", help="Names of the structures: data.labels."),
    ] = None,
) -> None:
    """Dice and IoU of each case and structure, on the grid of the reference.

    A missed or invented structure scores 0; where both masks are empty the score is undefined,
    left empty in the CSV and counted.

    Example:
      slicewise evaluate masks labelsTr --out scores.csv --config configs/hippocampus.yaml
    """
    from pipeline.cli.console import note, tracked
    from pipeline.cli.tables import SET_ASIDE, report_set_aside, report_warnings, show_summary
    from pipeline.config import ReadingSection, load_config
    from pipeline.dataset.catalogue import SetAside, listed
    from pipeline.errors import ScanError
    from pipeline.evaluation.pairing import label_values, pair_masks, read_pair
    from pipeline.evaluation.scores import score_case, summarize, write_scores
    from pipeline.imaging.structures import structures_of

    pairing = pair_masks(predictions, labels)
    set_aside = [
        SetAside(name, str(predictions / name), "mask without reference", "add its reference")
        for name in pairing.only_predicted
    ]
    reading = ReadingSection()
    if config_file is not None:
        config = load_config(config_file)
        labels_of, reading = config.data.labels, config.reading
        structures = structures_of(labels_of, config.structures)
    else:
        read = tracked(pairing.pairs, "reading", len(pairing.pairs))
        labels_of = {f"label_{value}": value for value in label_values(read)}
        structures = structures_of(labels_of, {})
    scores = []
    noticed: dict[str, tuple[str, ...]] = {}
    for pair in tracked(pairing.pairs, "scoring", len(pairing.pairs)):
        try:
            predicted, reference = read_pair(pair, reading, labels_of)
            noticed[pair.name] = tuple(dict.fromkeys((*predicted.warnings, *reference.warnings)))
            scores += score_case(pair.name, predicted, reference, structures).scores
        except ScanError as error:
            if len(pairing.pairs) == 1:
                raise
            set_aside.append(SetAside.from_error(pair.name, error))
    write_scores(scores, out)
    report_warnings(noticed)
    report_set_aside(set_aside)
    if pairing.only_reference:
        note(f"not scored, no mask: {listed(pairing.only_reference)}")
    scored = len({score.case for score in scores})
    show_summary(f"{scored} cases, rows in {out}", summarize(scores))
    if set_aside:
        raise typer.Exit(SET_ASIDE if scores else 1)
