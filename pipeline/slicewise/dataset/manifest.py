"""Reads CSV manifests with the columns ``image,label,patient[,contrast][,case]``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from slicewise.config import DataSection
from slicewise.dataset.catalogue import Listing
from slicewise.dataset.contrasts import all_in_order
from slicewise.dataset.sources import without_dicom_names
from slicewise.errors import DataError, did_you_mean
from slicewise.file_names import file_name
from slicewise.imaging.scan import ScanSource, source_name
from slicewise.imaging.tables import Table, read_table
from slicewise.quantities import listed

COLUMNS = ("image", "label", "patient", "contrast", "case")


@dataclass(frozen=True)
class _Row:
    """One row of a manifest: an image of a case.

    Attributes:
        where: manifest and line, for messages.
        case: value of its column, else the name of the label, else that of the image.
        contrast: of the image.
        image: file, or folder of a DICOM series.
        label: file, or folder of a DICOM series; None without a label.
        patient: value of its column.
    """

    where: str
    case: str
    contrast: str
    image: Path
    label: Path | None
    patient: str


def read_manifest(data: DataSection, root: Path) -> Listing:
    """Read a manifest, or the ``dataset.csv`` of a folder; paths are relative to the file.

    Raises:
        DataError: unreadable, unknown columns, missing files, contradicting lines, or a case that
            no file can be called after.
    """
    path = root / "dataset.csv" if root.is_dir() else root
    table = _read(path)
    rows = [_row(data, path, row.line, row.cells) for row in table.rows]
    _require_files(path, rows)
    cases: dict[str, list[_Row]] = {}
    for row in rows:
        cases.setdefault(row.case, []).append(row)
    for of_case in cases.values():
        _require_agreement(of_case)
    _require_distinct(cases)
    found = {case: _by_contrast(data, path, of_case) for case, of_case in cases.items()}
    images = all_in_order(found, data, path)
    labels: dict[str, ScanSource] = {
        case: of_case[0].label for case, of_case in cases.items() if of_case[0].label is not None
    }
    patients = {case: of_case[0].patient for case, of_case in cases.items()}
    listing = Listing(path, images, labels, patients if "patient" in table.columns else None)
    return without_dicom_names(listing, {row.cells.get("case", "") for row in table.rows} - {""})


def _read(path: Path) -> Table:
    table = read_table(path, COLUMNS)
    # A column with another name, such as "subject", would be ignored silently.
    unknown = [column for column in table.columns if column not in COLUMNS]
    if "image" not in table.columns or unknown:
        similar = did_you_mean(unknown[0], COLUMNS) if len(unknown) == 1 else ""
        raise DataError(
            path,
            expected="a header with image and, as needed, label, patient, contrast and case",
            found=",".join(table.columns) or "an empty file",
            remedy=f"{unknown[0]}: {similar}"
            if similar
            else "write this line first, rename the columns, or delete those that are not needed",
        )
    return table


def _row(data: DataSection, path: Path, number: int, line: dict[str, str]) -> _Row:
    where = f"{path}:{number}"
    if not line.get("image"):
        raise DataError(
            where,
            expected="an image in every line",
            found="an empty cell",
            remedy="fill the column, or delete the line",
        )
    if case := line.get("case") or "":
        # Masks and tables are called after it.
        file_name(case, f"{where}, column case", remedy="correct the column")
    image = path.parent / line["image"]
    label = path.parent / line["label"] if line.get("label") else None
    return _Row(
        where,
        case or source_name(label or image),
        line.get("contrast") or data.contrasts[0],
        image,
        label,
        line.get("patient") or "",
    )


def _require_files(path: Path, rows: Iterable[_Row]) -> None:
    missing = [
        f"line {row.where.rpartition(':')[2]}: {_as_written(file, path.parent)}"
        for row in rows
        for file in (row.image, row.label)
        if file is not None and not file.exists()
    ]
    if missing:
        windows = any("\\" in text for text in missing)
        raise DataError(
            path,
            expected="every listed file, relative to the folder of the manifest",
            found=listed(missing, separator="; "),
            remedy="write / instead of \\ in the paths" if windows else "correct the paths",
        )


def _as_written(file: Path, folder: Path) -> Path:
    return file.relative_to(folder) if file.is_relative_to(folder) else file


def _require_agreement(rows: list[_Row]) -> None:
    """The lines of one case are its contrasts: they share label and patient."""
    first = rows[0]
    for row in rows[1:]:
        if row.contrast in {other.contrast for other in rows if other is not row}:
            found = f"another line for the case {row.case} with the contrast {row.contrast}"
        elif row.label != first.label:
            found = f"{row.case} again with another label"
        elif row.patient != first.patient:
            found = f"{row.case} with the patients {first.patient or 'none'} and "
            found += row.patient or "none"
        else:
            continue
        raise DataError(
            row.where,
            expected="each case and contrast once, with one label and one patient",
            found=found,
            remedy="correct the line, or name the cases in a column case",
        )


def _require_distinct(cases: Mapping[str, list[_Row]]) -> None:
    """Refuse cases whose masks would be one file where upper and lower case are the same."""
    known: dict[str, str] = {}
    for case, rows in cases.items():
        other = known.setdefault(case.casefold(), case)
        if other != case:
            raise DataError(
                f"{rows[0].where}, column case",
                expected="cases that differ by more than upper and lower case",
                found=f"{case} and {other}",
                remedy="correct the column; the same case has the same name in all of its lines",
            )


def _by_contrast(data: DataSection, path: Path, rows: list[_Row]) -> dict[str, ScanSource]:
    unknown = [row.contrast for row in rows if row.contrast not in data.contrasts]
    if unknown:
        raise DataError(
            f"{path}, case {rows[0].case}",
            expected=f"the contrasts {', '.join(data.contrasts)}",
            found=", ".join(row.contrast for row in rows),
            remedy="correct the manifest or data.contrasts",
        )
    return {row.contrast: row.image for row in rows}
