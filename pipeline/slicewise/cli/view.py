"""``slicewise view``: one HTML file that shows a scan with its masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overwrite, Work
from slicewise.quantities import counted

_LARGE_BYTES = 100_000_000
_MOST_NAMES = 5


def view(
    scan: Annotated[
        Path, typer.Argument(metavar="SCAN", help="Scan, DICOM folder, or several scans.")
    ],
    masks: Annotated[
        list[str] | None,
        typer.Argument(metavar="MASKS", help="Masks of the scan, or NAME=PATH; four at most."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", help="Page to write.")] = Path(
        "view.html"
    ),
    config_file: Annotated[
        Path | None,
        typer.Option("--config", metavar="CONFIG", help="Names and colours of the structures."),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    overwrite: Overwrite = False,
    work: Work = DEFAULT_WORK,
) -> None:
    r"""Write a page that shows a scan with its masks in three planes.

    The page works offline. Without --config, names and colours are read from
    NAME.ctbl or labels.ctbl next to a mask. If SCAN holds several scans, the page
    lets you choose between them and shows the masks on each.

    Examples:
      slicewise view scan.nii.gz mask.nii.gz --out view.html --open

      slicewise view dicom_folder prediction=masks/a.nii.gz \
        reference=labels/a.nii.gz
    """
    from slicewise.cli.console import PROGRESS, note
    from slicewise.config import load_config
    from slicewise.workflows.view import ViewOptions
    from slicewise.workflows.view import view as view_scan

    config = None if config_file is None else load_config(config_file)
    options = ViewOptions(scan, _named_masks(masks or []), out, config, work, overwrite)
    result = view_scan(options, PROGRESS)
    size = result.size_bytes
    note(f"{out}: {size / 1e6:.1f} MB, {_named(result.shown)}")
    if result.left_out:
        note(f"left out, too large for one page: {_named(result.left_out)}")
    if size > _LARGE_BYTES:
        note("browsers open so large a page slowly; a cropped scan makes a smaller one")
    if open_page and not _opened(out):
        note(f"no browser was found; open {out} in one")


def _named(scans: Sequence[str]) -> str:
    """The names of a few scans, or how many there are."""
    return ", ".join(scans) if len(scans) <= _MOST_NAMES else counted(len(scans), "scan")


def _named_masks(arguments: Sequence[str]) -> dict[str, Path]:
    """Name to path of each mask: ``NAME=PATH``, or a path alone, named after its file."""
    from slicewise.errors import UsageError
    from slicewise.workflows.view import mask_name

    masks: dict[str, Path] = {}
    for number, argument in enumerate(arguments, start=1):
        name, sign, rest = argument.partition("=")
        if sign and name and rest and not Path(argument).exists():
            path = Path(rest)
        else:
            path = Path(argument)
            name = mask_name(path, number)
        if name in masks:
            raise UsageError(
                argument,
                expected="masks of different names",
                found=f"{name} twice",
                remedy="name them, as in prediction=PATH",
            )
        masks[name] = path
    return masks


def _opened(page: Path) -> bool:
    import webbrowser

    return webbrowser.open(page.resolve().as_uri())
