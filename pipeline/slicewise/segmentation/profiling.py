"""Describes the scans of a training in its checkpoint, with which later scans are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from slicewise.dataset.cache import CachedCase
from slicewise.dataset.measurements import Measurements
from slicewise.dataset.plane import stack_axes
from slicewise.segmentation.checkpoint import load_checkpoint, save_checkpoint
from slicewise.segmentation.conformal import CalibratedProfile
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.scan_description import describe_scans
from slicewise.segmentation.scan_summary import summarize, volume_key
from slicewise.segmentation.training_profile import FEWEST_SCANS, with_profile
from slicewise.segmentation.unlikeness import Unlikeness

_MOST_SCANS = 64
"""Of more training scans, or held-out ones, so many tell what all of them look like."""


@dataclass(frozen=True)
class TrainingScans:
    """What the scans of a training looked like, and which of the held-out ones are odd.

    Attributes:
        looks: term to text; see ``describe_scans``.
        unlike: name of each held-out case that is unlike all others, to the reasons.
    """

    looks: Mapping[str, str]
    unlike: Mapping[str, str]


NOT_PROFILED = TrainingScans({}, {})
"""Of a classical baseline, which is never asked about scans of another kind."""


def write_profile(
    predictor: Predictor,
    train: Sequence[CachedCase],
    val: Sequence[CachedCase],
    predicted: Mapping[str, Measurements],
    path: Path,
) -> TrainingScans:
    """Write what the scans of a training looked like into its checkpoint.

    Structures of training scans are those of their labels; those of held-out scans are what the
    network found, so that its usual errors are no reason to call a scan unlike the training.

    Args:
        predictor: the network of the checkpoint.
        train: cases that it was trained on.
        val: held-out cases.
        predicted: name of each of them that was predicted, to its measurements.
        path: of the checkpoint.

    Raises:
        CheckpointError, OutputError: the checkpoint cannot be read, or not be written.
    """
    known = _some_of(train)
    held_out = [case for case in val if case.name in predicted]
    chosen = _some_of(held_out)
    measured = [_as_seen(predictor, case) for case in known]
    measured += [predicted[case.name] for case in chosen]
    looks = describe_scans(measured, predictor.config.data.contrasts)
    if len(measured) < FEWEST_SCANS:
        save_checkpoint(with_profile(load_checkpoint(path), None), path)
        return TrainingScans(looks, {})
    patients = [case.patient for case in (*known, *chosen)]
    errors = volume_errors([(case.facts.measurements, predicted[case.name]) for case in held_out])
    calibrated = CalibratedProfile.of(measured, patients, errors)
    profile = calibrated.profile
    save_checkpoint(with_profile(load_checkpoint(path), profile), path)
    left_out = calibrated.left_out[len(known) :]
    compared = {case.name: item for case, item in zip(chosen, left_out, strict=True)}
    for case in held_out:
        if case.name not in compared:
            compared[case.name] = Unlikeness.of([profile.compare(predicted[case.name])])
    return TrainingScans(
        looks, {name: "; ".join(item.reasons) for name, item in compared.items() if item.reasons}
    )


def _some_of(cases: Sequence[CachedCase]) -> list[CachedCase]:
    places = np.linspace(0, len(cases) - 1, min(len(cases), _MOST_SCANS)).round().astype(int)
    return [cases[place] for place in places]


def _as_seen(predictor: Predictor, case: CachedCase) -> Measurements:
    """A training scan with its features, from a few of its slices."""
    (member,) = predictor.members
    stack = torch.from_numpy(case.image.astype(np.float32)).movedim(1, 0)  # (C, D, H, W)
    axes = stack_axes(member.config.preprocessing)
    features = member.features.of_volume(
        member.network, stack, axes, member.config, predictor.device
    )
    return case.facts.measurements.with_features(features)


def volume_errors(pairs: Sequence[tuple[Measurements, Measurements]]) -> dict[str, float]:
    """How well a network finds the volumes of structures, as errors of ``Summary.figures``.

    Args:
        pairs: each held-out scan with the structures of its label, and with those that were found.
    """
    squares: dict[str, list[float]] = {}
    for labelled, found in pairs:
        known, own = summarize(labelled).figures, summarize(found).figures
        for key in map(volume_key, labelled.volumes_ml):
            squares.setdefault(key, []).append((own[key].value - known[key].value) ** 2)
    return {name: math.sqrt(fmean(values)) for name, values in squares.items()}
