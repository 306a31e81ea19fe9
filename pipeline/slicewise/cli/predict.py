"""``slicewise predict``: masks of scans, on their own grids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overrides, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slicewise.segmentation.confidence import StructureConfidence

_FIRST = 5


def predict(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL INPUT",
            help="Folder or checkpoint of `slicewise train`, a run id, or models:/name@alias; none "
            "with --endpoint. Then the scan, folder of scans or DICOM, or data set.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="PATH", help="Folder of masks, or one file for one scan."),
    ],
    mask_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="nifti, seg-nrrd (3D Slicer) or dicom-seg; pictures give pictures.",
        ),
    ] = "nifti",
    identity: Annotated[
        str | None,
        typer.Option(
            "--identity",
            metavar="MODE",
            help="Patient in a DICOM SEG: pseudonym (default), source (for the PACS) or remap.",
        ),
    ] = None,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities", help="Write probabilities, too: NAME_probabilities.nii.gz."
        ),
    ] = False,
    uncertainty: Annotated[
        bool,
        typer.Option("--uncertainty", help="Write a map, too: NAME_uncertainty.nii.gz, 0 to 1."),
    ] = False,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", metavar="MODEL", help="Predict with this model, too; repeatable."),
    ] = None,
    out_of_fold: Annotated[
        bool,
        typer.Option(
            "--out-of-fold",
            help="Each case by the networks of the fold that held it out: masks of your own "
            "training cases, by networks that have not seen them.",
        ),
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint", metavar="URL", help="Ask a model that `slicewise serve` serves."
        ),
    ] = None,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
) -> None:
    """Write the mask of each scan on the scan's own grid.

    The folder of `train --fold all` and models named by --also predict together: the mean of their
    probabilities counts. They may see other planes, but name the same structures.

    With --out-of-fold, the tuned inference is not used: the held-out cases would have a say in
    their own masks.

    Next to the masks lies confidence.csv: how sure the model is of each structure, the scans to
    check first at the top. Next to a mask named by --out it is written with --uncertainty.

    --set takes the keys of the section reading, such as reading.nifti_form=sform, and
    inference.slice_exclusive: structures of which a slice holds one.

    Examples:
      slicewise predict model scan.nii.gz --out mask.nii.gz

      slicewise predict models:/hippocampus@champion dicom_folder --out masks --format dicom-seg

      slicewise predict --endpoint http://127.0.0.1:5001 scans --out masks

      slicewise predict axial scans --also coronal --also sagittal --out masks --uncertainty

      slicewise predict folds data_set --also other_folds --out-of-fold --out masks
    """
    from slicewise.cli.console import PROGRESS, loading, note
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.quantities import counted

    model, source = _model_and_source(arguments, endpoint)
    with loading():
        from slicewise.workflows.models import ModelOptions
        from slicewise.workflows.predict import PredictOptions
        from slicewise.workflows.predict import predict as predict_scans
    options = PredictOptions(
        ModelOptions(model, tuple(also or ()), tuple(overrides or ()), out_of_fold, endpoint, work),
        source,
        out,
        mask_format,
        identity,
        probabilities,
        uncertainty,
    )
    result = predict_scans(options, PROGRESS)
    show_least_confident(result.least_confident_first)
    note(f"{counted(len(result.masks), 'mask')} written to {out}")
    if result.set_aside:
        raise typer.Exit(SET_ASIDE if result.masks else 1)


def _model_and_source(arguments: Sequence[str], endpoint: str | None) -> tuple[str, Path]:
    """MODEL and INPUT; INPUT alone with an endpoint."""
    from slicewise.errors import UsageError

    wanted = ("INPUT",) if endpoint else ("MODEL", "INPUT")
    if len(arguments) != len(wanted):
        raise UsageError(
            "predict " + " ".join(arguments),
            expected=" ".join(wanted) + (" with --endpoint" if endpoint else ""),
            found=f"{len(arguments)} arguments",
            remedy="see `slicewise predict --help`",
        )
    return "" if endpoint else arguments[0], Path(arguments[-1])


def show_least_confident(ranked: Sequence[tuple[str, StructureConfidence]]) -> None:
    """Print what to check first; of a single scan, all of it."""
    from slicewise.cli.console import figure, show_table
    from slicewise.quantities import millilitres

    rows = [
        (
            scan,
            item.structure,
            millilitres(item.volume_ml) if item.volume_ml else "none",
            figure(item.estimated_dice, 3),
            _with_error(item),
            figure(item.uncertainty, 3),
        )
        for scan, item in ranked
    ]
    columns = ("scan", "structure", "ml", "estimated Dice", "predicted Dice", "uncertainty")
    if rows:
        alone = len({scan for scan, _ in ranked}) == 1
        show_table(
            "Confidence" if alone else "To check first", columns, rows if alone else rows[:_FIRST]
        )


def _with_error(item: StructureConfidence) -> str:
    from slicewise.cli.console import figure

    if item.predicted_dice != item.predicted_dice:
        return "-"
    return f"{figure(item.predicted_dice, 3)} ± {figure(item.predicted_dice_error, 3)}"
