"""Collects the evidence of held-out cases from their plain predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from slicewise.evaluation.inference_tuning.evidence import (
    CaseEvidence,
    MaskEvidence,
    StructureEvidence,
)
from slicewise.evaluation.inference_tuning.options import (
    POSTPROCESSING,
    TEMPERATURES,
    mirror_name,
    mirror_options,
)
from slicewise.imaging.volume import Volume
from slicewise.metrics.calibration import LEAST_PROBABILITY
from slicewise.metrics.masks import box_around, cropped, on_one_grid, with_axes_of
from slicewise.metrics.overlap import overlap
from slicewise.segmentation import confidence
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.label_map import label_map
from slicewise.segmentation.postprocessing import postprocess
from slicewise.segmentation.prediction import Prediction
from slicewise.segmentation.probability_maps import ProbabilityMaps, with_temperature

_DIGITS = 6
_FAINT = 1e-4
"""Voxels that are background with a surer probability are left out: at the highest temperature of
all they remain below what ``estimated_dice`` counts."""
_SMALLEST = 1e-7
"""Probability 0 would have an infinite negative log-likelihood."""

Flat = NDArray[np.bool_]


@dataclass(frozen=True)
class HeldOutCase:
    """A case as results may call it.

    Attributes:
        name: of the case.
        patient: whose it is, as a pseudonym or by the name of the case.
        contrasts: its scans.
        reference: its label map, on their grid.
    """

    name: str
    patient: str
    contrasts: Sequence[Volume]
    reference: Volume


@dataclass(frozen=True)
class EvidenceCollector:
    """Collects the evidence of the cases that a fold holds out.

    Attributes:
        predictor: with nothing chosen: no mirroring, temperature 1, no post-processing.
        fold: its number.
    """

    predictor: Predictor
    fold: int

    def evidence(self, case: HeldOutCase, plain: Prediction) -> CaseEvidence:
        """Evidence of one case; costs two more predictions for each axis that training mirrored.

        Args:
            case: held out.
            plain: the prediction of ``predictor`` for it.
        """
        labels = self.predictor.config.data.labels
        mask, reference = on_one_grid(plain, case.reference)
        soft = [with_axes_of(item, reference).voxels for item in plain.probabilities]
        box = box_around((soft[0] <= 1 - _FAINT) | (mask.voxels > 0) | (reference.voxels > 0))
        mask, reference = cropped(mask, box), cropped(reference, box)
        probabilities = torch.from_numpy(np.stack([item[box] for item in soft]))  # (K, X, Y, Z)
        structures = _structures(mask, reference, probabilities, labels)
        return CaseEvidence(
            case=case.name,
            patient=case.patient,
            fold=self.fold,
            nll=_negative_log_likelihood(probabilities, reference.voxels, labels),
            structures=structures,
            mirrored=dict(self._mirrored(case, plain)),
        )

    def _mirrored(
        self, case: HeldOutCase, plain: Prediction
    ) -> Iterator[tuple[str, dict[str, float | None]]]:
        config = self.predictor.config
        labels, slice_exclusive = config.data.labels, config.inference.slice_exclusive
        for name, probabilities in self._mirrored_probabilities(case, plain):
            maps = ProbabilityMaps.of(plain, probabilities)
            found = label_map(maps, labels, slice_exclusive)
            mask, reference = on_one_grid(found, case.reference)
            yield name, _dice(mask, reference, labels)

    def _mirrored_probabilities(
        self, case: HeldOutCase, plain: Prediction
    ) -> Iterator[tuple[str, NDArray[np.floating]]]:
        """Each option of mirroring with its probabilities (K, X, Y, Z)."""
        config = self.predictor.config
        axes = config.augmentation.mirror_axes
        # Mirror images alone, each out of a mean of two: (plain + image) / 2.
        total = own = _stacked(plain)
        for name, option in mirror_options(axes).items():
            if len(option) > 1:
                continue
            section = config.inference.model_copy(update={"mirror_axes": option})
            predictor = self.predictor.with_inference(section)
            both = _stacked(predictor.predict(*case.contrasts))
            total = total + 2 * both - own
            yield name, both
        if len(axes) > 1:
            yield mirror_name(axes), total / (1 + len(axes))


def _structures(
    mask: Volume, reference: Volume, probabilities: torch.Tensor, labels: Mapping[str, int]
) -> dict[str, StructureEvidence]:
    masks = {name: dict(_masks(mask, name, labels)) for name in labels}
    every = [voxels for options in masks.values() for voxels in options.values()]
    counted = np.any([probabilities[0].numpy() <= 1 - _FAINT, *every], axis=0)
    flat = probabilities[:, torch.from_numpy(counted)]  # (K, N)
    curves: dict[str, list[list[float]]] = {name: [] for name in masks}
    changes = {
        name: [
            _Change.between(options[""][counted], voxels[counted]) for voxels in options.values()
        ]
        for name, options in masks.items()
    }
    for temperature in TEMPERATURES:
        calibrated = with_temperature(flat, temperature).numpy()
        for place, (name, options) in enumerate(masks.items(), start=1):
            plain = options[""][counted]
            curves[name].append(_estimated_dice(calibrated[place], plain, changes[name]))
    return {
        name: _structure(options, reference.voxels == labels[name], curves[name])
        for name, options in masks.items()
    }


@dataclass(frozen=True)
class _Change:
    """Where a mask differs from the plain one; mostly in few voxels.

    Attributes:
        places: of these voxels.
        signs: 1 where one is added, -1 where one is taken away.
        size: voxels of the mask.
    """

    places: NDArray[np.intp]
    signs: NDArray[np.int8]
    size: int

    @classmethod
    def between(cls, plain: Flat, changed: Flat) -> _Change:
        places = np.flatnonzero(plain != changed)
        signs = np.where(changed[places], 1, -1).astype(np.int8)
        return cls(places, signs, int(np.count_nonzero(changed)))


def _estimated_dice(
    probability: NDArray[np.floating], plain: Flat, changes: Sequence[_Change]
) -> list[float]:
    """``estimated_dice`` of each mask of a structure, at one temperature."""
    values = confidence.without_improbable(probability)
    inside = values.sum(where=plain, dtype=np.float64)
    total = float(values.sum(dtype=np.float64))
    return [
        round(
            confidence.estimated_dice(
                float(inside + (values[change.places] * change.signs).sum(dtype=np.float64)),
                total,
                change.size,
            ),
            _DIGITS,
        )
        for change in changes
    ]


def _structure(
    options: Mapping[str, Flat], reference: Flat, curves: Sequence[Sequence[float]]
) -> StructureEvidence:
    """Evidence of all masks; ``curves`` hold the estimates of all masks at each temperature."""
    of_masks = zip(*curves, strict=True)
    found = {
        option: MaskEvidence(_rounded(overlap(voxels, reference).dice), tuple(estimates))
        for (option, voxels), estimates in zip(options.items(), of_masks, strict=True)
    }
    return StructureEvidence(found.pop(""), found)


def _masks(mask: Volume, name: str, labels: Mapping[str, int]) -> Iterator[tuple[str, Flat]]:
    """The mask of a structure, without a name, and each option that changes it."""
    plain = mask.voxels == labels[name]
    yield "", plain
    for option, section in POSTPROCESSING.items():
        changed = postprocess(mask, labels, {name: section}).voxels == labels[name]
        if not np.array_equal(changed, plain):
            yield option, changed


def _negative_log_likelihood(
    probabilities: torch.Tensor, reference: NDArray[np.integer], labels: Mapping[str, int]
) -> tuple[float, ...] | None:
    """Mean negative log-likelihood at each temperature.

    Voxels are chosen by what the network says of them, never by the truth: were missed voxels
    kept, and the background around them not, the best network would seem too sure.
    """
    chosen = 1 - probabilities[0] >= LEAST_PROBABILITY
    if not chosen.any():
        return None
    truth = np.zeros(reference.shape, dtype=np.int64)
    for place, value in enumerate(labels.values(), start=1):
        truth[reference == value] = place
    flat = probabilities[:, chosen].clamp(min=_SMALLEST)  # (K, N)
    classes = torch.from_numpy(truth)[chosen][None]  # (1, N)
    curve = []
    for temperature in TEMPERATURES:
        likelihood = with_temperature(flat, temperature).gather(0, classes)
        curve.append(-likelihood.clamp(min=_SMALLEST).log().mean(dtype=torch.float64).item())
    return tuple(round(value, _DIGITS) for value in curve)


def _dice(mask: Volume, reference: Volume, labels: Mapping[str, int]) -> dict[str, float | None]:
    return {
        name: _rounded(overlap(mask.voxels, reference.voxels, value).dice)
        for name, value in labels.items()
    }


def _rounded(dice: float) -> float | None:
    return None if np.isnan(dice) else round(dice, _DIGITS)


def _stacked(prediction: Prediction) -> NDArray[np.floating]:
    return np.stack([item.voxels for item in prediction.probabilities])
