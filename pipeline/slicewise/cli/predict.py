"""``slicewise predict``: masks of scans, on their own grids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overrides, Overwrite, Work, workers_option
from slicewise.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from slicewise.segmentation.confidence import StructureConfidence

_FIRST = 5


def predict(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL INPUT",
            help="MODEL: folder or checkpoint of `slicewise train`, run id, or models:/name@alias; "
            "none with --endpoint. INPUT: scan, folder of scans or DICOM, or data set.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="PATH", help="Folder for the masks, or a file for one mask."),
    ],
    mask_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="nifti, seg-nrrd (3D Slicer) or dicom-seg; the mask of a picture is a picture.",
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
        typer.Option("--probabilities", help="Also write NAME_probabilities.nii.gz."),
    ] = False,
    uncertainty: Annotated[
        bool,
        typer.Option("--uncertainty", help="Also write NAME_uncertainty.nii.gz, 0 to 1."),
    ] = False,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", metavar="MODEL", help="Another model of the ensemble; repeatable."),
    ] = None,
    out_of_fold: Annotated[
        bool,
        typer.Option(
            "--out-of-fold",
            help="Predict each training case by the networks of the fold that held it out.",
        ),
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint", metavar="URL", help="Address of a model that `slicewise serve` serves."
        ),
    ] = None,
    refuse_unlike: Annotated[
        bool,
        typer.Option(
            "--refuse-unlike", help="Write no mask of a scan that is unlike those of the training."
        ),
    ] = False,
    overwrite: Overwrite = False,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Annotated[
        str | None,
        workers_option(
            "Processes that predict a scan each, or the address of a Dask cluster; default: "
            "this process, with all cores or the GPU."
        ),
    ] = None,
) -> None:
    r"""Predict a mask for each scan, on the scan's own grid.

    The folder of `train --fold all` and the models given with --also predict as
    an ensemble: their probabilities are averaged. They may be trained on
    different planes, but must have the same structures and contrasts.

    --out-of-fold does not use the tuned inference, which was chosen on the same
    held-out cases.

    confidence.csv next to the masks tells how sure the model is of each
    structure, with the scans to check first at the top. For a single mask, it is
    written with --uncertainty only.

    --set takes the keys of the section reading, such as reading.nifti_form=sform,
    and inference.slice_exclusive: structures that never share a slice.

    Each scan is compared with those that the model was trained on: header, size
    and spacing, intensities, what the network sees, volumes of the structures.
    What is unlike them is said, and stands in confidence.csv; such masks, and
    their confidence, are not to be trusted unseen.

    A file that Slicewise did not write there, a mask that was corrected by hand
    and the masks of another model are replaced with --overwrite only; scans and
    labels of the data set never.

    Exit code 8: some scans were set aside, or are unlike those of the training.

    Examples:
      slicewise predict model scan.nii.gz --out mask.nii.gz

      slicewise predict models:/hippocampus@champion dicom_folder --out masks \
        --format dicom-seg

      slicewise predict --endpoint http://127.0.0.1:5001 scans --out masks

      slicewise predict axial scans --also coronal --also sagittal --out masks \
        --uncertainty

      slicewise predict folds my_scans --also other_folds --out masks \
        --out-of-fold
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
        refuse_unlike,
        overwrite,
        workers,
    )
    result = predict_scans(options, PROGRESS)
    show_least_confident(result.least_confident_first, set(result.unlike))
    note(f"{counted(len(result.masks), 'mask')} written to {out}")
    if result.unlike:
        note(
            f"{counted(len(result.unlike), 'scan')} unlike those of the training: see above, and "
            "check these masks with care"
        )
    if result.set_aside or result.unlike:
        raise typer.Exit(SET_ASIDE if result.masks else 1)


def _model_and_source(arguments: Sequence[str], endpoint: str | None) -> tuple[str, Path]:
    """MODEL and INPUT; INPUT alone with an endpoint."""
    from slicewise.errors import UsageError

    wanted = ("INPUT",) if endpoint else ("MODEL", "INPUT")
    if len(arguments) != len(wanted):
        raise UsageError(
            "predict " + " ".join(arguments),
            expected=" ".join(wanted) + (" with --endpoint" if endpoint else ""),
            found=counted(len(arguments), "argument"),
            remedy="see `slicewise predict --help`",
        )
    return "" if endpoint else arguments[0], Path(arguments[-1])


def show_least_confident(
    ranked: Sequence[tuple[str, StructureConfidence]], unlike: Collection[str] = ()
) -> None:
    """Print what to check first; of a single scan, all of it.

    Args:
        ranked: name of the scan and confidence of each structure, in the order to check them.
        unlike: names of scans that are unlike those of the training.
    """
    from slicewise.cli.console import show_table
    from slicewise.quantities import figure

    rows = [
        (
            scan,
            item.structure,
            "none" if item.is_empty else item.size,
            figure(item.estimated_dice, 3),
            _with_error(item),
            figure(item.uncertainty, 3),
            *(("unlike" if scan in unlike else "like",) if unlike else ()),
        )
        for scan, item in ranked
    ]
    columns = (
        *("scan", "structure", "size", "estimated Dice", "predicted Dice", "uncertainty"),
        *(("training",) if unlike else ()),
    )
    if rows:
        alone = len({scan for scan, _ in ranked}) == 1
        show_table(
            "Confidence" if alone else "To check first", columns, rows if alone else rows[:_FIRST]
        )


def _with_error(item: StructureConfidence) -> str:
    from slicewise.quantities import figure

    if item.predicted_dice != item.predicted_dice:
        return "-"
    return f"{figure(item.predicted_dice, 3)} ± {figure(item.predicted_dice_error, 3)}"
