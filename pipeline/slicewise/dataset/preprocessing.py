"""Preprocessing of scans into normalised slices; ``NativeGrid`` is the way back.

Training, inference and the registered model use the same preprocessing.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from slicewise.config import DataSection, PreprocessingSection, ReadingSection
from slicewise.dataset.measurements import measure
from slicewise.dataset.plane import slice_axis, spacing_of
from slicewise.dataset.transforms import (
    AntiAliasd,
    NormalizeForegroundd,
    VolumeReader,
    foreground_mask,
)
from slicewise.errors import LabelError, ScanError
from slicewise.imaging.labels import whole_numbers
from slicewise.imaging.scan import ScanSource
from slicewise.imaging.volume import Volume
from slicewise.lean_monai import (
    Compose,
    CropForegroundd,
    EnsureTyped,
    LoadImaged,
    MetaTensor,
    Orientationd,
    Spacingd,
)
from slicewise.quantities import listed

FORMAT_VERSION = 5
"""Increase it when the output changes: it invalidates every cache."""

_AXES = (("L", "R"), ("P", "A"), ("I", "S"))


class UnnamedLabelError(LabelError):
    """A label map contains a value that is not in ``data.labels``."""


@dataclass(frozen=True)
class ReadCase:
    """A case before its preprocessing.

    Attributes:
        where: its first source, for messages.
        loaded: ``image`` (C, X, Y, Z) and, if there is one, ``label`` (1, X, Y, Z), with metadata.
        volumes: one per contrast, each on its own grid; None if missing.
        placed: one per contrast, on the grid of the first.
        label: label map with its original values.
    """

    where: str
    loaded: dict[Hashable, Any]
    volumes: tuple[Volume | None, ...]
    placed: tuple[Volume, ...]
    label: Volume | None


class Preprocessing:
    """The chain of MONAI transforms of one configuration.

    Args:
        section: configuration of the preprocessing.
        data: contrasts and label values.
        reading: error handling.
    """

    def __init__(
        self,
        section: PreprocessingSection,
        data: DataSection,
        reading: ReadingSection = ReadingSection(),
    ) -> None:
        self.section = section
        self.data = data
        self.reading = reading

    def load(
        self, images: Sequence[ScanSource | None], label: ScanSource | None = None
    ) -> tuple[dict[Hashable, Any], int]:
        """Load and preprocess one case.

        Args:
            images: one source per contrast; None if missing, which is replaced by zeros.
            label: label map, if there is one.

        Returns:
            ``image`` (C, X, Y, Z) float32 in RAS, ``label`` (1, X, Y, Z) with classes 0..n if there
            is one; and the axis of the slices. Warnings are in ``meta["warnings"]`` of each, the
            measurements of the scan in ``meta["measurements"]`` of the image.

        Raises:
            ScanError: damaged, NaN voxels, contrasts or label on another grid, unknown label
                values, or a single slice in another plane than the configured one.
        """
        return self.preprocess(self.read(images, label))

    def read(
        self, images: Sequence[ScanSource | None], label: ScanSource | None = None
    ) -> ReadCase:
        """Read one case, for ``preprocess``.

        Args:
            images: one source per contrast; None if missing, which is replaced by zeros.
            label: label map, if there is one.

        Raises:
            ScanError: damaged, NaN voxels, contrasts or label on another grid, or unknown label
                values.
        """
        reader = VolumeReader(self.reading, self.data)
        # Given at the call as well, where MONAI does not wrap the errors of the reader.
        loaded = _loading()({"image": list(images)}, reader=reader)
        where = str(images[0])
        _require_finite(loaded["image"], where)
        label_map = None
        if label is not None:
            labels = VolumeReader(self.reading, self.data, labelled=reader.volumes[0])
            loaded |= _loading()({"label": [label]}, reader=labels)
            (label_map,) = labels.volumes
            classes = self.classes_of(np.asarray(loaded["label"]), str(label))
            loaded["label"] = MetaTensor(torch.from_numpy(classes), meta=loaded["label"].meta)
        return ReadCase(where, loaded, tuple(reader.stored), tuple(reader.volumes), label_map)

    def preprocess(self, case: ReadCase) -> tuple[dict[Hashable, Any], int]:
        """Preprocess a case; the result is that of ``load``."""
        done, axis = self._transformed(case.loaded, case.where)
        image = done["image"]
        measured = measure(case.placed, image.as_tensor())
        if case.label is not None:
            affine = np.asarray(image.affine)
            labels = self.data.labels
            measured = measured.with_structures(case.label, labels, image.shape[1:], affine)
        image.meta["measurements"] = measured
        return done, axis

    def from_volumes(self, volumes: Sequence[Volume]) -> tuple[MetaTensor, int]:
        """Preprocess one volume per contrast; returns (C, X, Y, Z) and the axis of the slices."""
        voxels, meta = VolumeReader(self.reading, self.data).get_data(list(volumes))
        _require_finite(voxels, volumes[0].name)
        image = MetaTensor(torch.from_numpy(voxels.astype(np.float32)), meta=meta)
        del voxels  # as large as the scan
        image.affine = torch.from_numpy(volumes[0].affine)
        transformed, axis = self._transformed({"image": image}, volumes[0].name)
        return transformed["image"], axis

    def _transformed(
        self, loaded: dict[Hashable, Any], where: str
    ) -> tuple[dict[Hashable, Any], int]:
        image = loaded["image"]  # (C, X, Y, Z)
        grid = Volume(np.asarray(image[0]), np.asarray(image.affine), where)
        axis = slice_axis(grid, self.section)
        return self._chain(grid.reoriented("RAS"), axis)(loaded), axis

    def _chain(self, upright: Volume, axis: int) -> Compose:
        keys, section = ("image", "label"), self.section
        steps: list[Any] = [
            EnsureTyped(keys, dtype=torch.float32, allow_missing_keys=True),
            Orientationd(keys, "RAS", labels=_AXES, allow_missing_keys=True),
        ]
        if section.spacing_mm is not None or section.longest_side is not None:
            pixdim = list(spacing_of(section, axis, upright.shape, upright.spacing_mm))
            if section.plane != "all":
                # MONAI keeps the spacing of an axis whose value is not positive.
                pixdim[axis] = -1.0
            ratios = [new / old for new, old in zip(pixdim, upright.spacing_mm, strict=True)]
            steps += [
                AntiAliasd("image", ratios),
                Spacingd(
                    keys, pixdim=pixdim, mode=("bilinear", "nearest"), allow_missing_keys=True
                ),
            ]
        if self.section.crop_foreground:
            steps.append(
                CropForegroundd(
                    keys,
                    source_key="image",
                    select_fn=lambda image: _any_foreground(image, self.section),
                    allow_missing_keys=True,
                    allow_smaller=True,
                )
            )
        steps.append(NormalizeForegroundd("image", self.section))
        return Compose(steps)

    def classes_of(self, values: NDArray[Any], where: str) -> NDArray[np.uint8]:
        """Label values to consecutive classes in the order of ``data.labels``.

        Raises:
            LabelError: a value is not an integer.
            UnnamedLabelError: a value is not in ``data.labels``.
        """
        integers = whole_numbers(values, where)
        known = [0, *self.data.labels.values()]
        unnamed = sorted({int(value) for value in np.unique(integers)} - set(known))
        if unnamed:
            raise UnnamedLabelError(
                where,
                expected=f"the values of data.labels: {listed(map(str, known[1:]))}",
                found=f"{listed(map(str, unnamed))} as well",
                remedy="add them to data.labels, or correct the label map",
            )
        classes = np.zeros(values.shape, dtype=np.uint8)
        for number, value in enumerate(known):
            classes[integers == value] = number
        return classes


def to_slices(volume: torch.Tensor, axis: int) -> torch.Tensor:
    """Slice a volume (C, X, Y, Z) into (D, C, H, W)."""
    return volume.movedim(axis + 1, 0)


@cache
def _loading() -> LoadImaged:
    # MONAI also registers its own readers, one of which warns about a missing GPU decoder.
    logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "NvImgCodecPydicomReader")
        return LoadImaged(
            ("image", "label"),
            reader=VolumeReader,
            dtype=None,
            allow_missing_keys=True,
            expanduser=False,
        )


def _any_foreground(image: torch.Tensor, section: PreprocessingSection) -> torch.Tensor:
    # A missing contrast is zeros, and has no foreground.
    present = [contrast for contrast in image if contrast.any()] or list(image)
    masks = [foreground_mask(contrast.numpy(), section) for contrast in present]
    return torch.from_numpy(np.any(masks, axis=0))[None]


def _require_finite(image: Any, where: str) -> None:
    values = np.asarray(image)
    broken = int(values.size - np.count_nonzero(np.isfinite(values)))
    if broken:
        raise ScanError(
            where,
            expected="finite voxels",
            found=f"{broken} NaN or infinite voxels",
            remedy="export the scan again, or set reading.non_finite to zero",
        )
