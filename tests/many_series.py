"""Measures the catalogue and ``slicewise check`` of data sets of many series.

Small DICOM series, each with pixels and identifiers of its own, or links to one of them, or
NIfTI files with label maps in a manifest; FOLDER holds them, and is left there:

    python tests/many_series.py FOLDER --series 1000 10000 100000
    python tests/many_series.py FOLDER --series 1000 10000 100000 --kind links
    python tests/many_series.py FOLDER --series 1000 10000 100000 --kind nifti

A million of them without files, with made-up series and findings:

    python tests/many_series.py FOLDER --series 10000 100000 1000000 --kind simulated
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partialmethod
from pathlib import Path
from unittest.mock import patch

import nibabel as nib
import numpy as np
import psutil

from slicewise.config import DataSection, ReadingSection
from slicewise.dataset.case_qc import CheckedCase, Intensities
from slicewise.dataset.catalogue import Catalogue
from slicewise.dataset.demo.dicom import write_dicom_series
from slicewise.dataset.fingerprints import Digests
from slicewise.dataset.layouts import read_catalogue
from slicewise.dataset.work_folder import WorkFolder
from slicewise.imaging.dicom.scanner import DicomScanner, SeriesScan
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.volume import Volume
from slicewise.reporting.data_check.thumbnails import Thumbnail
from slicewise.workflows import check as check_workflow
from slicewise.workflows.check import DrawnCase

SHAPE = (16, 16, 3)
SPACING_MM = (1.5, 1.0, 4.0, 1.0)
PER_FOLDER = 1000
UID = "1.2.826.0.1.3680043.8.498"
FIRST = 10**9
"""Numbers from here on have the same length, as what is replaced in the bytes of a file must."""


def phantom_files(folder: Path) -> list[bytes]:
    """One series, whose identifiers and patient end in ``FIRST``."""
    volume = Volume(np.zeros(SHAPE, np.uint16), np.diag([-1.5, -1.0, 4.0, 1.0]), name=f"P{FIRST}")
    with patch(
        "slicewise.dataset.demo.dicom._uid",
        lambda identity, part: f"{UID}.{identity}.{sum(part.encode())}",
    ):
        write_dicom_series(volume, folder / "phantom", str(FIRST))
    return [path.read_bytes() for path in sorted((folder / "phantom").iterdir())]


def write_dicom(root: Path, numbers: range, phantom: list[bytes]) -> None:
    """Series of noise, a folder each."""
    pixels = np.prod(SHAPE[:2]) * 2
    for number in numbers:
        noise = np.random.default_rng(number).integers(0, 4096, SHAPE[::-1], np.uint16)
        folder = root / f"{number // PER_FOLDER:04d}" / f"{number:07d}"
        folder.mkdir(parents=True)
        for slice_number, (content, voxels) in enumerate(zip(phantom, noise, strict=True)):
            named = content.replace(str(FIRST).encode(), str(FIRST + number).encode())
            (folder / f"{slice_number}.dcm").write_bytes(named[:-pixels] + voxels.tobytes())


def write_links(root: Path, numbers: range, phantom: list[bytes]) -> None:
    """Folders that are copies of one series."""
    write_dicom(root, range(1), phantom)
    first = sorted((root / "0000" / "0000000").iterdir())
    for number in numbers[1:]:
        folder = root / f"{number // PER_FOLDER:04d}" / f"{number:07d}"
        folder.mkdir(parents=True)
        for path in first:
            (folder / path.name).hardlink_to(path)


def write_nifti(root: Path, numbers: range, _: list[bytes]) -> None:
    """Images and label maps, two images of each patient, in a manifest."""
    rows = ["image,label,patient"]
    for number in numbers:
        generator = np.random.default_rng(number)
        folder = root / f"{number // PER_FOLDER:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        image, label = folder / f"{number:07d}.nii", folder / f"{number:07d}_seg.nii"
        voxels = generator.integers(0, 4096, SHAPE, np.uint16)
        nib.save(nib.Nifti1Image(voxels, np.diag(SPACING_MM)), image)
        nib.save(nib.Nifti1Image((voxels > 2048).astype(np.uint8), np.diag(SPACING_MM)), label)
        rows.append(f"{image.relative_to(root)},{label.relative_to(root)},patient {number // 2}")
    (root / "dataset.csv").write_text("\n".join(rows) + "\n")


WRITERS = {"dicom": write_dicom, "links": write_links, "nifti": write_nifti}


def measured(name: str, command: list[str], count: int) -> None:
    """Run a command, and print what it and its child processes took."""
    begun = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        busy: dict[int, float] = {}
        memory = [0, 0]
        while process.poll() is None:
            for one in (process, *process.children(recursive=True)):
                with suppress(psutil.Error):
                    times = one.cpu_times()
                    busy[one.pid] = times.user + times.system
                    is_child = one.pid != process.pid
                    memory[is_child] = max(memory[is_child], one.memory_info().rss)
            time.sleep(0.25)
        if process.returncode not in (0, 8):
            errors.seek(0)
            sys.exit(errors.read().decode())
    seconds, busy_seconds = time.monotonic() - begun, sum(busy.values())
    sys.stdout.write(
        f"{count:>9,} {name}: {seconds:.0f} s, {busy_seconds:.0f} s of processor time "
        f"({1e3 * busy_seconds / count:.2f} ms each); at most {memory[0] / 1e6:,.0f} MB of "
        f"memory, and {memory[1] / 1e6:,.0f} MB in a child process\n"
    )
    sys.stdout.flush()


def measure(folder: Path, kind: str, count: int) -> None:
    """The catalogue with an empty and with a full index of headers, then the whole check."""
    root, work = folder / f"{kind}-{count}", folder / f"work-{kind}-{count}"
    shutil.rmtree(work, ignore_errors=True)
    if kind == "simulated":
        root.mkdir(exist_ok=True)
        (root / "0.dcm").touch()
    elif not root.exists():
        WRITERS[kind](root, range(count), phantom_files(folder))
    own = [sys.executable, __file__, str(folder), "--series", str(count), "--kind", kind, "--only"]
    if kind != "simulated":
        measured("catalogue", [*own, "catalogue"], count)
    if kind == "dicom":
        measured("catalogue, headers known", [*own, "catalogue"], count)
    measured("check", [*own, "check"], count)
    shutil.rmtree(work)


def made_up_series(_: DicomScanner, path: Path, walked: object, *, count: int) -> SeriesScan:
    """As a scanner finds them, of a patient each."""
    del walked
    members = tuple(f"{number}.dcm" for number in range(SHAPE[2]))
    frames = (0,) * len(members)
    series = (
        DicomSeries(
            name=f"p{number:07d}_s001_axial",
            folder=path / f"{number // PER_FOLDER:04d}" / f"{number:07d}",
            members=members,
            frames=frames,
            tiles=0,
            affine=np.diag(SPACING_MM),
            shape=SHAPE,
            voxel_type="uint16",
            series_uid=f"{UID}.{number}.1",
            patient=f"p{number:07d}",
            study_uid=f"{UID}.{number}.2",
        )
        for number in range(count)
    )
    return SeriesScan(tuple(series), ())


def made_up_findings(
    catalogue: Catalogue, *_: object, with_thumbnails: bool
) -> Iterator[DrawnCase]:
    """As of real scans; every hundredth is a copy of the one before it, and one in fifty is odd."""
    rng = np.random.default_rng(0)
    for number, case in enumerate(catalogue.cases):
        same = number - 1 if number % 100 == 99 else number
        low, high = rng.normal(100, 10), rng.normal(4000, 100)
        checked = CheckedCase(
            case.name,
            case.patient,
            SHAPE,
            SPACING_MM[:3],
            orientation="LAS" if number % 50 == 7 else "LPS",
            plane="axial",
            intensities={"image": Intensities(0.0, low, 2000.0, high, 4095.0)},
            labelled=True,
            structures={1: float(rng.lognormal(1, 0.1)), 2: float(rng.lognormal(2, 0.1))},
            warnings=["some slices between others are constant"] if number % 50 == 3 else [],
            digests={"image": Digests(f"{same:064x}", f"{same:064x}")},
            label_digest=f"{number:064x}",
            intensity_step=float(rng.uniform(0.1, 1)),
        )
        picture = Thumbnail(rng.bytes(2000), 96, 96, "axial", 1, 3) if with_thumbnails else None
        yield DrawnCase(checked, picture)


def run(folder: Path, kind: str, count: int, only: str) -> None:
    root, work = folder / f"{kind}-{count}", folder / f"work-{kind}-{count}"
    with ExitStack() as stack:
        if kind == "simulated":
            found = partialmethod(made_up_series, count=count)
            stack.enter_context(patch.object(DicomScanner, "find_among", found))
            stack.enter_context(patch.object(check_workflow, "check_cases", made_up_findings))
        if only == "catalogue":
            scanner = WorkFolder(work).scanner(ReadingSection())
            catalogue = read_catalogue(DataSection(root=root), scanner)
            assert len(catalogue.cases) == count, (len(catalogue.cases), catalogue.set_aside[:3])
            return
        from slicewise.cli.main import main as slicewise

        words = ["check", root, "--unlabelled", "--work", work, "--json", work / "check.json"]
        if kind == "simulated":
            words += ["--html", work / "check.html"]
        with patch.object(sys, "argv", ["slicewise", *map(str, words)]):
            slicewise()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--series", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--kind", choices=[*WRITERS, "simulated"], default="dicom")
    parser.add_argument("--only", choices=["catalogue", "check"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for count in asked.series:
        if asked.only:
            run(asked.folder, asked.kind, count, asked.only)
        else:
            measure(asked.folder, asked.kind, count)


if __name__ == "__main__":
    main()
