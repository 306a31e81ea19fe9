"""Stratifies folds by the volumes of the structures."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from slicewise.config import DataSection
from slicewise.dataset.catalogue import Case

MOST_CLASSES = 5
"""Maximum number of volume classes; with more, each would have few patients."""

Volumes = Mapping[str, Mapping[int, float]]
"""Volume in ml by case name and label value."""


def stratified(cases: Sequence[Case], data: DataSection, volumes: Volumes) -> list[set[str]]:
    """Held-out patients of each fold, with similar volumes and numbers of cases in all folds.

    scikit-learn's ``StratifiedGroupKFold``, grouped by patient and stratified by
    ``volume_classes``.

    Args:
        cases: of at least ``fold_count`` patients.
        data: fold count and seed.
        volumes: of the structures of each case; missing cases, which are unusable, have no
            structures.
    """
    # scikit-learn takes half a second to import.
    from sklearn.model_selection import StratifiedGroupKFold

    ordered = sorted(cases, key=lambda case: case.name)
    patients = np.array([case.patient for case in ordered])
    classes = volume_classes(ordered, volumes, data.fold_count)
    of_case = np.array([classes[case.patient] for case in ordered])
    folds = StratifiedGroupKFold(data.fold_count, shuffle=True, random_state=data.fold_seed)
    with warnings.catch_warnings():
        # Rare combinations of structures are in some of the folds only.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        held_out = [test for _, test in folds.split(of_case, of_case, patients)]
    return [set(patients[test]) for test in held_out]


def volume_classes(cases: Sequence[Case], volumes: Volumes, fold_count: int) -> dict[str, int]:
    """Volume class of each patient.

    Patients with the same structures form a group; groups with fewer patients than folds are
    merged. Within a group, patients are ranked by the volume of each structure (mean over their
    scans), and divided into quantiles of the mean rank: at most ``MOST_CLASSES``, each with at
    least as many patients as folds.
    """
    mean_ml = _mean_volumes(cases, volumes)
    kinds: dict[tuple[int, ...], list[str]] = {}
    for patient in sorted(mean_ml):
        kinds.setdefault(tuple(sorted(mean_ml[patient])), []).append(patient)
    common = [patients for patients in kinds.values() if len(patients) >= fold_count]
    rare = [name for patients in kinds.values() if len(patients) < fold_count for name in patients]
    classes: dict[str, int] = {}
    for patients in [*common, *([rare] if rare else [])]:
        count = max(1, min(MOST_CLASSES, len(patients) // fold_count))
        ranked = _by_mean_rank(patients, mean_ml)
        known = len(set(classes.values()))
        for number, quantile in enumerate(np.array_split(np.array(ranked), count)):
            classes |= dict.fromkeys(quantile.tolist(), known + number)
    return classes


def _mean_volumes(cases: Sequence[Case], volumes: Volumes) -> dict[str, dict[int, float]]:
    """Mean volume over the scans of each patient, by patient and structure."""
    of_patient: dict[str, list[Mapping[int, float]]] = {}
    for case in cases:
        of_patient.setdefault(case.patient, []).append(volumes.get(case.name, {}))
    return {
        patient: {
            value: sum(scan.get(value, 0.0) for scan in scans) / len(scans)
            for value in {value for scan in scans for value in scan}
        }
        for patient, scans in of_patient.items()
    }


def _by_mean_rank(patients: Sequence[str], mean_ml: Mapping[str, Mapping[int, float]]) -> list[str]:
    """Patients in the order of their mean rank over all structures; ties by name."""
    values = sorted({value for patient in patients for value in mean_ml[patient]})
    volumes = np.array([[mean_ml[name].get(value, 0.0) for value in values] for name in patients])
    ranks = rankdata(volumes, axis=0).mean(axis=1) if values else np.zeros(len(patients))
    return [patients[place] for place in np.argsort(ranks, kind="stable")]
