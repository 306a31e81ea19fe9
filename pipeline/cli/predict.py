"""``slicewise predict``: a scan in, a mask out; a folder in, a folder out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import DEFAULT_WORK, Work

if TYPE_CHECKING:
    from pipeline.dataset.catalogue import SetAside
    from pipeline.imaging.scan import ScanSource
    from pipeline.segmentation.inference import Predictor


def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Folder or checkpoint of `slicewise train`, a run id, or models:/name@alias.",
        ),
    ],
    source: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="Scan, folder of scans, DICOM folder, CSV manifest."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="PATH", help="Folder of masks, or one .nii.gz file for one scan."
        ),
    ],
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities", help="Write probabilities, too: NAME_probabilities.nii.gz."
        ),
    ] = False,
    work: Work = DEFAULT_WORK,
) -> None:
    """Write the mask of each scan on the scan's own grid.

    Examples:
      slicewise predict model scan.nii.gz --out mask.nii.gz

      slicewise predict models:/hippocampus@champion dicom_folder --out masks
    """
    from pipeline.cli.console import loading, note, tracked
    from pipeline.cli.tables import SET_ASIDE, report_set_aside
    from pipeline.dataset.catalogue import SetAside
    from pipeline.errors import SlicewiseError
    from pipeline.imaging.files import private_folder

    with loading():
        from pipeline.cli.steps import model_paths
        from pipeline.segmentation.inference import Predictor
    predictor = Predictor.from_checkpoint(*model_paths(model, work))
    scans, set_aside = _inputs(predictor, source)
    targets = _targets(list(scans), out)
    private = private_folder(work / "predictions")
    failures: list[SlicewiseError] = []
    for name, contrasts in tracked(scans.items(), "predicting", len(scans)):
        try:
            _write_prediction(predictor, contrasts, targets[name], probabilities=probabilities)
        except SlicewiseError as error:
            failures.append(error)
            set_aside.append(SetAside.from_error(name, error))
    _write_sources(private / "sources.jsonl", scans, targets)
    if len(failures) == len(scans) == 1:
        raise failures[0]
    report_set_aside(set_aside)
    note(f"{len(scans) - len(failures)} masks written to {out}")
    if set_aside:
        raise typer.Exit(SET_ASIDE if len(failures) < len(scans) else 1)


def _inputs(
    predictor: Predictor, source: Path
) -> tuple[dict[str, tuple[ScanSource, ...]], list[SetAside]]:
    """Name to one source a contrast, and what cannot be read."""
    from pipeline.dataset.catalogue import SetAside
    from pipeline.dataset.layouts import read_catalogue
    from pipeline.imaging.scan import find_scans

    if len(predictor.config.data.contrasts) > 1 or source.suffix == ".csv":
        # Several contrasts a case need a layout that says which belong together.
        data = predictor.config.data.model_copy(
            update={"root": source, "layout": "auto", "allow_unpaired": True}
        )
        catalogue = read_catalogue(data)
        return {case.name: case.images for case in catalogue.cases}, list(catalogue.set_aside)
    found = find_scans(source)
    set_aside = [SetAside.from_error(Path(error.where).name, error) for error in found.set_aside]
    return {name: (scan,) for name, scan in found.sources.items()}, list(set_aside)


def _targets(names: list[str], out: Path) -> dict[str, Path]:
    """Where each mask goes: a folder, or the one file that is named."""
    from pipeline.errors import UsageError
    from pipeline.imaging.nifti import SUFFIXES

    if not out.name.endswith(SUFFIXES):
        return {name: out / f"{name}.nii.gz" for name in names}
    if len(names) != 1:
        raise UsageError(
            f"--out {out}",
            expected=f"a folder for {len(names)} masks",
            found="the name of one file",
            remedy="give a folder",
        )
    return {names[0]: out}


def _write_prediction(
    predictor: Predictor, contrasts: tuple[ScanSource, ...], target: Path, *, probabilities: bool
) -> None:
    from pipeline.imaging.nifti import stem, write_mask, write_probabilities
    from pipeline.imaging.scan import read_scan

    volumes = [read_scan(source) for source in contrasts]
    prediction = predictor.predict_with_probabilities(*volumes)
    if probabilities:
        beside = target.with_name(f"{stem(target)}_probabilities.nii.gz")
        write_probabilities(prediction.probabilities, volumes[0], beside)
    write_mask(prediction.mask, volumes[0], target)


def _write_sources(
    path: Path, scans: dict[str, tuple[ScanSource, ...]], targets: dict[str, Path]
) -> None:
    """Which mask came from where; DICOM paths may name patients, so this stays private."""
    import json

    from pipeline.imaging.dicom_series import DicomSeries

    def places(source: ScanSource) -> str:
        return str(source.files[0].parent if isinstance(source, DicomSeries) else source)

    with path.open("a", encoding="utf-8") as file:
        path.chmod(0o600)
        for name, contrasts in scans.items():
            row = {"mask": str(targets[name]), "sources": [places(item) for item in contrasts]}
            file.write(json.dumps(row) + "\n")
