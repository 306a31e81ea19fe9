"""What is measured of a scan, so that it can be compared with those of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from slicewise.imaging.volume import Affine, Volume

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
THUMBNAIL = (8, 8, 8)
_MAXIMUM_SAMPLED = 2**14
PICTURE = "picture"
_TEXTS = ("Modality", "ScanningSequence", "Contrast")
_NUMBERS = (*("EchoTime", "RepetitionTime", "InversionTime", "FlipAngle", "MagneticFieldStrength"),)

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Measurements:
    """One scan; axes are in RAS order.

    Attributes:
        spacing_mm: along each axis, as stored.
        size_mm: of the field of view along each axis.
        words: of the acquisition, such as ``Modality`` to ``MR``, as far as the header has them;
            and ``Kind``: a picture has no geometry.
        numbers: of the acquisition under their BIDS names, such as ``EchoTime`` in seconds.
        intensities: quantiles of each contrast after normalisation.
        texture: mean difference of neighbouring voxels along each axis, after normalisation.
        thumbnail: means of the normalised voxels in 8 x 8 x 8 equal blocks, of each contrast.
        volumes_ml: of each structure.
        places: centre of mass of each structure as fractions of the field of view; without those
            that are empty.
        border: share of the outer voxels that belong to a structure, which the border then cuts.
        features: mean activation of each channel at the bottom of the network; empty without one.
    """

    spacing_mm: Triple
    size_mm: Triple
    words: Mapping[str, str]
    numbers: Mapping[str, float]
    intensities: tuple[float, ...]
    texture: Triple
    thumbnail: tuple[float, ...]
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    places: Mapping[str, Triple] = field(default_factory=dict)
    border: float = 0.0
    features: tuple[float, ...] = ()

    def with_features(self, features: Sequence[float]) -> Measurements:
        """The same scan as a network sees it."""
        return replace(self, features=_rounded(features))

    def with_structures(
        self, mask: Volume, labels: Mapping[str, int], shape: Sequence[int], affine: Affine
    ) -> Measurements:
        """The same scan with the structures of a mask.

        Args:
            mask: label values on any grid of the scan.
            labels: structure name to label value.
            shape: of the preprocessed image, (X, Y, Z).
            affine: of the preprocessed image.
        """
        to_image = np.linalg.inv(affine) @ mask.affine
        volumes, places = {}, {}
        for name, value in labels.items():
            own = mask.voxels == value
            count = int(np.count_nonzero(own))
            volumes[name] = round(count * mask.voxel_volume_ml, 4)
            if count:
                centre = to_image[:3, :3] @ _mean_index(own, count) + to_image[:3, 3]
                places[name] = _triple((centre + 0.5) / np.array(shape))
        return replace(self, volumes_ml=volumes, places=places, border=_border(mask.voxels != 0))


def measure(contrasts: Sequence[Volume], image: torch.Tensor) -> Measurements:
    """Measure a scan.

    Args:
        contrasts: as they were read, all on one grid.
        image: the preprocessed scan, shape (C, X, Y, Z) in RAS.
    """
    first = contrasts[0]
    # Axis of the array of each axis of the body; voxels need not be moved for it.
    order = np.argsort(nib.orientations.io_orientation(first.affine)[:, 0])
    spacing_mm, shape = np.array(first.spacing_mm)[order], np.array(first.shape)[order]
    stored = contrasts[0].acquisition
    return Measurements(
        spacing_mm=_triple(spacing_mm),
        size_mm=_triple(spacing_mm * shape),
        words={
            "Kind": "scan with a geometry" if contrasts[0].spacing_is_known else PICTURE,
            **{key: _text(stored[key]) for key in _TEXTS if stored.get(key)},
        },
        numbers={key: float(stored[key]) for key in _NUMBERS if key in stored},  # type: ignore[arg-type]
        intensities=_intensities(image),
        texture=_texture(image),
        thumbnail=_rounded(functional.adaptive_avg_pool3d(image, THUMBNAIL).flatten().tolist()),
    )


def _intensities(image: torch.Tensor) -> tuple[float, ...]:
    step = -(-image[0].numel() // _MAXIMUM_SAMPLED)
    sampled = image.flatten(1)[:, ::step].numpy()  # (C, N)
    return _rounded(np.quantile(sampled, QUANTILES, axis=1).T.ravel())


def _texture(image: torch.Tensor) -> Triple:
    """Zero along an axis with one voxel."""
    steps = (image.diff(dim=axis).abs_() for axis in (1, 2, 3))
    return _triple([float(step.mean()) if step.numel() else 0.0 for step in steps])


def _mean_index(inside: NDArray[np.bool_], count: int) -> NDArray[np.float64]:
    """Mean index of the voxels along each axis, without a list of them all."""
    along = [np.count_nonzero(inside, axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
    return np.array([np.arange(len(counts)) @ counts / count for counts in along])


def _border(inside: NDArray[np.bool_]) -> float:
    """Share of the voxels on the faces of a box; an axis with one voxel has none."""
    axes = [axis for axis, size in enumerate(inside.shape) if size > 1]
    faces = [inside.take([0, -1], axis) for axis in axes]
    marked = sum(int(np.count_nonzero(face)) for face in faces)
    return round(marked / max(sum(face.size for face in faces), 1), 6)


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _triple(values: Sequence[float] | NDArray[np.floating]) -> Triple:
    first, second, third = _rounded(values)
    return first, second, third


def _rounded(values: Sequence[float] | NDArray[np.floating]) -> tuple[float, ...]:
    """Six digits: what lies beyond depends on the machine."""
    return tuple(float(f"{value:.6g}") for value in values)
