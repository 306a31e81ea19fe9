"""MONAI transforms of this package: the image reader and the foreground normalisation."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import SimpleITK
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from slicewise.config import DataSection, PreprocessingSection, ReadingSection
from slicewise.dataset.contrasts import on_one_grid, read_each
from slicewise.imaging.scan import read_label
from slicewise.imaging.volume import Volume
from slicewise.lean_monai import ImageReader, MapTransform, MetaTensor

_ONE_CONTRAST = DataSection()
_PIECE = 2**22
"""Voxels of the foreground whose statistics are summed at a time."""


class VolumeReader(ImageReader):
    """MONAI reader of all supported sources: NIfTI, pictures, DICOM files, folders and series.

    Args:
        reading: error handling, including that of different grids.
        data: contrasts, and label values by structure name.
        labelled: the image whose label map is read; None reads images.
    """

    def __init__(
        self,
        reading: ReadingSection = ReadingSection(),
        data: DataSection = _ONE_CONTRAST,
        labelled: Volume | None = None,
    ) -> None:
        self.reading = reading
        self.data = data
        self.labelled = labelled
        self.stored: list[Volume | None] = []
        """Contrasts of the last call, each on its own grid; None if missing."""
        self.volumes: list[Volume] = []
        """Volumes of the last call, on one grid."""

    def verify_suffix(self, filename: Any) -> bool:
        """Accept all sources; ``read_scan`` decides by content."""
        del filename
        return True

    def read(self, data: Any, **_: Any) -> list[Volume]:
        """Read one label map, or one source per contrast; None is a missing contrast."""
        sources = list(data) if isinstance(data, (list, tuple)) else [data]
        if self.labelled is None:
            self.stored = read_each(sources, self.data.contrasts, self.reading)
            self.volumes = on_one_grid(self.stored, self.data.contrasts, self.reading)
        else:
            (source,) = sources
            names = self.data.labels
            self.volumes = [read_label(source, self.labelled, self.reading, names)]
        return self.volumes

    def get_data(self, img: Any) -> tuple[NDArray[Any], dict[str, Any]]:
        """Stack contrasts into (C, X, Y, Z), with their common affine."""
        volumes: list[Volume] = img
        if self.labelled is None:
            volumes = on_one_grid(volumes, self.data.contrasts, self.reading)
        meta = {
            "affine": volumes[0].affine,
            "original_channel_dim": 0,
            "spatial_shape": np.array(volumes[0].shape),
            "warnings": tuple(text for volume in volumes for text in volume.warnings),
        }
        return np.stack([volume.voxels for volume in volumes]), meta


class AntiAliasd(MapTransform):
    """Smooths along the axes whose spacing grows, so that no detail is folded into coarser pixels.

    Args:
        keys: of the images, (C, X, Y, Z).
        ratios: of the new spacing to the old one, along each axis.

    Source:
        The standard deviation is that of ``skimage.transform.resize``.
    """

    def __init__(self, keys: Any, ratios: Sequence[float]) -> None:
        super().__init__(keys)
        self.sigmas = tuple(max((ratio - 1) / 2, 0.0) for ratio in ratios)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Smooth (C, X, Y, Z) float32."""
        result = dict(data)
        for key in self.key_iterator(result):
            image = result[key]
            smooth = np.stack(
                [gaussian_filter(item.numpy(), self.sigmas, mode="nearest") for item in image]
            )
            result[key] = MetaTensor(torch.from_numpy(smooth), meta=image.meta)
            result[key].applied_operations = image.applied_operations
        return result


class NormalizeForegroundd(MapTransform):
    """Clips to percentiles of the foreground, and normalises by its mean and standard deviation.

    Both are computed per volume and contrast, not per slice.
    """

    def __init__(self, keys: Any, section: PreprocessingSection) -> None:
        super().__init__(keys)
        self.section = section

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Normalise (C, X, Y, Z) float32."""
        result = dict(data)
        for key in self.key_iterator(result):
            image = result[key]
            normalized = torch.empty(image.shape, dtype=torch.float32)
            for contrast, place in zip(image, normalized, strict=True):
                self._normalize(contrast.numpy(), place.numpy())
            result[key] = MetaTensor(normalized, meta=image.meta)
            result[key].applied_operations = image.applied_operations
        return result

    def _normalize(self, voxels: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        foreground = voxels[foreground_mask(voxels, self.section)]
        low, high = np.percentile(foreground, self.section.clip_percentiles)
        # In pieces: float64 copies of a large scan would not fit into memory next to it.
        pieces = range(0, len(foreground), _PIECE)

        def clipped() -> Iterator[NDArray[np.float64]]:
            return (np.clip(foreground[start : start + _PIECE], low, high) for start in pieces)

        mean = sum(float(piece.sum()) for piece in clipped()) / len(foreground)
        squares = sum(float(np.square(piece - mean).sum()) for piece in clipped())
        deviation = math.sqrt(squares / len(foreground))
        for plane, place in zip(voxels, out, strict=True):
            place[...] = (np.clip(plane, low, high) - mean) / (deviation if deviation > 0 else 1.0)


def foreground_mask(
    voxels: NDArray[np.float32], section: PreprocessingSection
) -> NDArray[np.bool_]:
    """Foreground mask in the shape of ``voxels``; all voxels if it would be empty."""
    if section.foreground == "nonzero":
        mask = voxels != 0
    elif section.foreground == "otsu" and voxels.min() < voxels.max():
        image = SimpleITK.GetImageFromArray(voxels)
        mask = SimpleITK.GetArrayFromImage(SimpleITK.OtsuThreshold(image, 0, 1)).astype(np.bool_)
    else:
        mask = np.ones(voxels.shape, dtype=np.bool_)
    return mask if mask.any() else np.ones(voxels.shape, dtype=np.bool_)
