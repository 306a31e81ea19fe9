"""Draws how a model works: its network, a scan next to its mask, and the windows of a slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slicewise.config import UNET, Config
from slicewise.dataset.contrasts import read_contrasts
from slicewise.dataset.work_folder import WorkFolder
from slicewise.errors import UsageError
from slicewise.imaging.mark import Writer
from slicewise.imaging.structures import structures_of
from slicewise.imaging.target import Target
from slicewise.imaging.volume import Volume
from slicewise.progress import SILENT, Progress
from slicewise.quantities import counted
from slicewise.reporting.figures.architecture import draw_architecture
from slicewise.reporting.figures.examples import Example, draw_examples
from slicewise.reporting.figures.sliding_window import draw_tiles
from slicewise.segmentation.architecture import describe_layers
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.networks import build_network
from slicewise.segmentation.tiles import tile_slice
from slicewise.workflows.models import ModelOptions, load_predictor
from slicewise.workflows.predict import find_inputs

_NETWORK, _SCAN_AND_MASK, _WINDOWS = "network.svg", "scan_and_mask.png", "windows.png"


@dataclass(frozen=True)
class FiguresOptions:
    """What to draw.

    Attributes:
        model: which model.
        scan: one scan; its slices should exceed the window of the network.
        out: folder of the figures.
        overwrite: replace files of others.
    """

    model: ModelOptions
    scan: Path
    out: Path
    overwrite: bool = False


@dataclass(frozen=True)
class Figures:
    """Figures that were drawn.

    Attributes:
        scan_and_mask: slices of the scan, without and with the predicted mask.
        windows: how one slice is taken apart into windows, and their predictions are blended.
        network: layers of the network; None where it is no U-Net.
    """

    scan_and_mask: Path
    windows: Path
    network: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        drawn = (self.network, self.scan_and_mask, self.windows)
        return tuple(path for path in drawn if path is not None)


def draw_figures(options: FiguresOptions, progress: Progress = SILENT) -> Figures:
    """Draw the figures of a model and a scan.

    Raises:
        ModelError, CheckpointError: no such model, or a damaged one.
        UsageError: several scans.
        ScanError: no scan, or a damaged one.
        OutputError: a figure cannot be written, or would replace a file of others.
    """
    files = [options.out / name for name in (_NETWORK, _SCAN_AND_MASK, _WINDOWS)]
    target = Target(Writer("figures"), overwrite=options.overwrite, inputs=[options.scan])
    target.claim(files)
    scan, out = options.scan, options.out
    predictor = load_predictor(options.model, progress)
    config = predictor.config
    found, _ = find_inputs(scan, config, out, WorkFolder(options.model.work), progress)
    if len(found) > 1:
        raise UsageError(
            scan,
            expected="one scan",
            found=counted(len(found), "scan"),
            remedy="give the path of one of them",
        )
    (sources,) = found.values()
    contrasts = read_contrasts(sources, config.data.contrasts, config.reading)
    with target.writing(out):
        return _drawn(predictor, contrasts, out, progress)


def _drawn(
    predictor: Predictor, contrasts: Sequence[Volume], out: Path, progress: Progress
) -> Figures:
    config = predictor.config
    network = _draw_network(config, out / _NETWORK) if config.network.name == UNET else None
    figures = Figures(out / _SCAN_AND_MASK, out / _WINDOWS, network)
    structures = structures_of(config.data.labels, config.structures)
    draw_tiles(tile_slice(predictor, *contrasts), structures, figures.windows)
    with progress.task("predicting", 1) as task:
        mask = predictor.predict(*contrasts, task=task)
    example = Example(contrasts[0].name, contrasts[0], mask)
    draw_examples([example], config.data.labels, figures.scan_and_mask)
    return figures


def _draw_network(config: Config, path: Path) -> Path:
    layers = describe_layers(build_network(config), *config.network.window)
    draw_architecture(layers, config.in_channels, path)
    return path
