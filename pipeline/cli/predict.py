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
        typer.Argument(metavar="INPUT", help="Scan, folder of scans or DICOM, data set."),
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
    from pipeline.cli.tables import SET_ASIDE, report_set_aside, report_warnings
    from pipeline.dataset.catalogue import SetAside
    from pipeline.errors import ScanError
    from pipeline.imaging.files import private_folder

    with loading():
        from pipeline.cli.steps import model_paths
        from pipeline.segmentation.inference import Predictor
    predictor = Predictor.from_checkpoint(*model_paths(model, work))
    scans, set_aside = _inputs(source, predictor.config.data.contrasts, out)
    targets = _targets(scans, out)
    failures: list[ScanError] = []
    warnings: dict[str, tuple[str, ...]] = {}
    for name, contrasts in tracked(scans.items(), "predicting", len(scans)):
        try:
            warnings[name] = _write_prediction(
                predictor, contrasts, targets[name], probabilities=probabilities
            )
        except ScanError as error:
            failures.append(error)
            set_aside.append(SetAside.from_error(name, error))
    _write_sources(private_folder(work / "predictions") / "sources.jsonl", scans, targets)
    if len(failures) == len(scans) == 1:
        raise failures[0]
    report_warnings(warnings)
    report_set_aside(set_aside)
    note(f"{len(scans) - len(failures)} masks written to {out}")
    if set_aside:
        raise typer.Exit(SET_ASIDE if len(failures) < len(scans) else 1)


def _inputs(
    source: Path, contrasts: tuple[str, ...], out: Path
) -> tuple[dict[str, tuple[ScanSource, ...]], list[SetAside]]:
    """Name to one source a contrast, and what cannot be read.

    Of a data set with labels only the images are taken; masks of an earlier run below ``out``,
    where that lies inside of ``source``, are no scans.
    """
    from pipeline.dataset.layouts import read_images
    from pipeline.errors import ScanError
    from pipeline.imaging.nifti.reading import is_nifti
    from pipeline.imaging.scan import find_scans

    if not source.exists() or is_nifti(source):
        return {name: (scan,) for name, scan in find_scans(source).sources.items()}, []
    listing = read_images(source, contrasts)
    own = out.resolve()
    earlier = own != source.resolve() and own.is_relative_to(source.resolve())
    scans = {
        name: sources
        for name, sources in listing.images.items()
        if not (earlier and any(_path(item).resolve().is_relative_to(own) for item in sources))
    }
    set_aside: list[SetAside] = list(listing.set_aside)
    if not scans:
        raise ScanError(
            source,
            expected="at least one scan",
            found="; ".join(item.reason for item in set_aside[:3]) or "none outside of --out",
            remedy="see the reasons, or correct the path",
        )
    return scans, set_aside


def _path(source: ScanSource) -> Path:
    from pipeline.imaging.dicom.series import DicomSeries

    return source.files[0].parent if isinstance(source, DicomSeries) else source


def _targets(scans: dict[str, tuple[ScanSource, ...]], out: Path) -> dict[str, Path]:
    """Where each mask goes: a folder, or the one file that is named; never onto a scan."""
    from pipeline.errors import UsageError
    from pipeline.imaging.nifti.reading import SUFFIXES

    if not out.name.endswith(SUFFIXES):
        targets = {name: out / f"{name}.nii.gz" for name in scans}
    elif len(scans) == 1:
        targets = dict.fromkeys(scans, out)
    else:
        raise UsageError(
            f"--out {out}",
            expected=f"a folder for {len(scans)} masks",
            found="the name of one file",
            remedy="give a folder",
        )
    inputs = {_path(item).resolve() for sources in scans.values() for item in sources}
    for target in targets.values():
        if target.resolve() in inputs:
            raise UsageError(
                f"--out {out}",
                expected="a place apart from the scans",
                found=f"{target}, which is a scan",
                remedy="choose another folder or file",
            )
    return targets


def _write_prediction(
    predictor: Predictor, contrasts: tuple[ScanSource, ...], target: Path, *, probabilities: bool
) -> tuple[str, ...]:
    """Predict and write; returns what was noticed when the scan was read."""
    from pipeline.imaging.nifti.reading import stem
    from pipeline.imaging.nifti.writing import write_mask, write_probabilities
    from pipeline.imaging.scan import read_scan

    volumes = [read_scan(source) for source in contrasts]
    prediction = predictor.predict_with_probabilities(*volumes)
    if probabilities:
        beside = target.with_name(f"{stem(target)}_probabilities.nii.gz")
        write_probabilities(prediction.probabilities, volumes[0], beside)
    write_mask(prediction.mask, volumes[0], target)
    return tuple(text for volume in volumes for text in volume.warnings)


def _write_sources(
    path: Path, scans: dict[str, tuple[ScanSource, ...]], targets: dict[str, Path]
) -> None:
    """Which mask came from where; DICOM paths may name patients, so this stays private."""
    import json

    with path.open("a", encoding="utf-8") as file:
        path.chmod(0o600)
        for name, contrasts in scans.items():
            sources = [str(_path(item)) for item in contrasts]
            file.write(json.dumps({"mask": str(targets[name]), "sources": sources}) + "\n")
