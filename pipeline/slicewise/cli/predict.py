"""``slicewise predict``: a scan in, a mask out; a folder in, a folder out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overrides, Work


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

    With --out-of-fold, masks are as the networks make them: what held-out cases chose is not
    followed, for they would have a say in their own masks.

    Beside the masks lies confidence.csv: how sure the model is of each structure, the scans to look
    at first standing first. Beside a mask named by --out it lies where --uncertainty asks for it.

    --set takes the keys of the section reading, such as reading.nifti_form=sform, and
    inference.slice_exclusive: structures of which a slice holds one.

    Examples:
      slicewise predict model scan.nii.gz --out mask.nii.gz

      slicewise predict models:/hippocampus@champion dicom_folder --out masks --format dicom-seg

      slicewise predict --endpoint http://127.0.0.1:5001 scans --out masks

      slicewise predict axial scans --also coronal --also sagittal --out masks --uncertainty

      slicewise predict folds data_set --also other_folds --out-of-fold --out masks
    """
    from slicewise.cli.console import loading, note, tracked_shares
    from slicewise.cli.tables import SET_ASIDE, quarantined, report_set_aside, report_warnings
    from slicewise.dataset.catalogue import SetAside
    from slicewise.errors import ScanError
    from slicewise.imaging.files import private_folder

    with loading():
        from slicewise.cli.confidence_table import show_first, write_confidences
        from slicewise.cli.mask_output import confidence_table
        from slicewise.cli.prediction_run import (
            Extras,
            inputs,
            mask_output,
            write_prediction,
            write_sources,
        )
        from slicewise.cli.segmenting_model import model_and_input
        from slicewise.segmentation.confidence import StructureConfidence
    extras = Extras(probabilities, uncertainty)
    local_options = {
        "--set": overrides or [],
        "--also": also or [],
        "--probabilities": ["on"] * probabilities,
        "--uncertainty": ["on"] * uncertainty,
        "--out-of-fold": ["on"] * out_of_fold,
    }
    model, source = model_and_input(arguments, endpoint, local_options, work)
    output = mask_output(model.config, mask_format, identity, work)
    scans, set_aside = inputs(source, model.config, out, work)
    targets = output.targets({name: contrasts[0] for name, contrasts in scans.items()}, out)
    failures: list[ScanError] = []
    warnings: dict[str, tuple[str, ...]] = {}
    confidences: dict[str, list[StructureConfidence]] = {}
    for scan, on_share in tracked_shares(scans.items(), "predicting", len(scans)):
        name, contrasts = scan
        try:
            written = write_prediction(
                model, output, name, contrasts, targets[name], extras, on_share
            )
        except ScanError as error:
            failures.append(error)
            set_aside.append(SetAside.from_error(name, error))
            continue
        warnings[name], confidences[name] = written.warnings, written.confidences
    write_sources(private_folder(work / "predictions") / "sources.jsonl", scans, targets)
    if len(failures) == len(scans) == 1:
        raise failures[0]
    if len(failures) < len(scans):
        output.write_labels(out)
        if table := confidence_table(out, wanted=uncertainty):
            write_confidences(confidences, table)
        show_first(confidences)
    report_warnings(warnings)
    report_set_aside(set_aside, quarantined(set_aside, work, "predictions"))
    note(f"{len(scans) - len(failures)} masks written to {out}")
    if set_aside:
        raise typer.Exit(SET_ASIDE if len(failures) < len(scans) else 1)
