"""``slicewise view``: a scan and its masks in, one HTML file to look at them out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Work

_LARGE_BYTES = 100_000_000


def view(
    scan: Annotated[
        Path, typer.Argument(metavar="SCAN", help="Scan, DICOM folder, or several scans.")
    ],
    masks: Annotated[
        list[str] | None,
        typer.Argument(metavar="MASKS", help="Masks of the scan, or NAME=PATH; four at most."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", help="The page.")] = Path(
        "view.html"
    ),
    config_file: Annotated[
        Path | None,
        typer.Option("--config", metavar="CONFIG", help="Names and colours of the structures."),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    work: Work = DEFAULT_WORK,
) -> None:
    """Write a page that shows all planes of a scan with its masks; it needs no network.

    Without --config, names and colours come from NAME.ctbl or labels.ctbl beside a mask. Of
    several scans behind SCAN each can be chosen; masks are laid over all of them.

    Examples:
      slicewise view scan.nii.gz mask.nii.gz --out view.html --open

      slicewise view dicom_folder prediction=masks/a.nii.gz reference=labels/a.nii.gz
    """
    from slicewise.cli.bridge import report_warnings, tracked
    from slicewise.cli.console import note
    from slicewise.cli.viewing_run import named_masks, require_page, scans_to_view, viewed_scan
    from slicewise.config import load_config
    from slicewise.dataset.catalogue import listed
    from slicewise.reporting.viewer.page import write_viewer_page

    config = None if config_file is None else load_config(config_file)
    named = named_masks(masks or [])
    require_page(out, scan)
    sources = scans_to_view(scan, config, work)
    viewed = []
    warnings = {}
    for name, source in tracked(sources.items(), "reading", len(sources)):
        item, warnings[name] = viewed_scan(name, source, named, config)
        viewed.append(item)
    report_warnings(warnings)
    left_out = write_viewer_page(viewed, out, listed((item.title for item in viewed), 3))
    size = out.stat().st_size
    shown = listed(item.title for item in viewed if item.title not in left_out)
    note(f"{out}: {size / 1e6:.1f} MB, {shown}")
    if left_out:
        note(f"left out, too large for one page: {listed(left_out)}")
    if size > _LARGE_BYTES:
        note("browsers open so large a page slowly; a cropped scan makes a smaller one")
    if open_page and not _opened(out):
        note(f"no browser was found; open {out} in one")


def _opened(page: Path) -> bool:
    import webbrowser

    return webbrowser.open(page.resolve().as_uri())
