"""Our own links of the MONAI chain: the reader, and the normalisation by the foreground."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import SimpleITK
import torch
from monai.data import ImageReader, MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray

from pipeline.config import PreprocessingSection, ReadingSection
from pipeline.imaging.dicom.seg.reading import NO_NAMES
from pipeline.imaging.scan import ScanSource, read_label, read_scan
from pipeline.imaging.volume import Volume, require_same_grid


class VolumeReader(ImageReader):
    """MONAI's door to our readers: NIfTI files, pictures, DICOM files, folders and series.

    Args:
        reading: how faults are met.
        labelled: the image whose label map is read; None reads images.
        names: structure name to value, for labels that bear names.
    """

    def __init__(
        self,
        reading: ReadingSection = ReadingSection(),
        labelled: Volume | None = None,
        names: Mapping[str, int] = NO_NAMES,
    ) -> None:
        self.reading = reading
        self.labelled = labelled
        self.names = names
        self.volumes: list[Volume] = []
        """What was read last."""

    def verify_suffix(self, filename: Any) -> bool:
        """Whatever ``read_scan`` takes; it decides by content."""
        del filename
        return True

    def read(self, data: Any, **_: Any) -> list[Volume]:
        """Read one source or one a contrast."""
        sources: Sequence[ScanSource] = data if isinstance(data, (list, tuple)) else [data]
        self.volumes = [self._volume(source) for source in sources]
        return self.volumes

    def _volume(self, source: ScanSource) -> Volume:
        if self.labelled is None:
            return read_scan(source, self.reading)
        return read_label(source, self.labelled, self.reading, self.names)

    def get_data(self, img: Any) -> tuple[NDArray[Any], dict[str, Any]]:
        """Stack contrasts into (C, X, Y, Z) with the affine that they share."""
        volumes: list[Volume] = img
        for other in volumes[1:]:
            require_same_grid(volumes[0], other)
        meta = {
            "affine": volumes[0].affine,
            "original_channel_dim": 0,
            "spatial_shape": np.array(volumes[0].shape),
            "warnings": tuple(text for volume in volumes for text in volume.warnings),
        }
        return np.stack([volume.voxels for volume in volumes]), meta


class NormalizeForegroundd(MapTransform):
    """Clips to foreground percentiles, subtracts the foreground's mean, divides by its deviation.

    One mean and deviation a volume and contrast, never a slice's own.
    """

    def __init__(self, keys: Any, section: PreprocessingSection) -> None:
        super().__init__(keys)
        self.section = section

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Normalise (C, X, Y, Z) float32."""
        result = dict(data)
        for key in self.key_iterator(result):
            image = result[key]
            result[key] = torch.stack([self._normalized(contrast) for contrast in image])
            result[key] = MetaTensor(result[key], meta=image.meta)
            result[key].applied_operations = image.applied_operations
        return result

    def _normalized(self, contrast: torch.Tensor) -> torch.Tensor:
        voxels = contrast.numpy()
        foreground = voxels[foreground_mask(voxels, self.section)]
        low, high = np.percentile(foreground, self.section.clip_percentiles)
        clipped = np.clip(foreground, low, high)
        mean, deviation = float(clipped.mean()), float(clipped.std())
        scaled = (np.clip(voxels, low, high) - mean) / (deviation if deviation > 0 else 1.0)
        return torch.from_numpy(scaled.astype(np.float32))


def foreground_mask(
    voxels: NDArray[np.float32], section: PreprocessingSection
) -> NDArray[np.bool_]:
    """The voxels that belong to the body, shape of ``voxels``; all of them where none would."""
    if section.foreground == "nonzero":
        mask = voxels != 0
    elif section.foreground == "otsu" and voxels.min() < voxels.max():
        image = SimpleITK.GetImageFromArray(voxels)
        mask = SimpleITK.GetArrayFromImage(SimpleITK.OtsuThreshold(image, 0, 1)).astype(np.bool_)
    else:
        mask = np.ones(voxels.shape, dtype=np.bool_)
    return mask if mask.any() else np.ones(voxels.shape, dtype=np.bool_)
