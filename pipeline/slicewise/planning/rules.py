"""Drafts a complete plan from a fingerprint, a machine and the overrides of the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicewise.planning.draft import Draft
from slicewise.planning.fingerprint import Fingerprint
from slicewise.planning.machine import Machine
from slicewise.planning.place_rules import plan_coordinates
from slicewise.planning.recipe import RECIPE
from slicewise.planning.slice_rules import (
    plan_context_slices,
    plan_normalization,
    plan_plane,
    plan_slice_exclusive,
    plan_window,
)
from slicewise.planning.spacing_rules import plan_spacing
from slicewise.planning.training_rules import (
    plan_augmentation,
    plan_batch,
    plan_budget,
    plan_data,
    plan_network,
    plan_sampling,
    plan_structures,
)


def draft_plan(
    name: str,
    fingerprint: Fingerprint,
    machine: Machine,
    overrides: Mapping[str, Any],
    budget_minutes: float,
) -> Draft:
    """Choose every value that follows from the data; overrides stay as they are.

    Args:
        name: of the configuration.
        fingerprint: of the data set.
        machine: that trains.
        overrides: dotted key to the value that the user has set.
        budget_minutes: training time of a fold.
    """
    draft = Draft(overrides)
    draft.choose("name", name, "")
    plan_data(draft, fingerprint)
    plan_structures(draft, fingerprint)
    plan_plane(draft, fingerprint)
    plan_spacing(draft, fingerprint, machine)
    plan_normalization(draft, fingerprint)
    plan_slice_exclusive(draft, fingerprint)
    plan_context_slices(draft, fingerprint)
    plan_coordinates(draft, fingerprint)
    plan_window(draft, fingerprint, machine)
    plan_network(draft, machine)
    plan_batch(draft)
    plan_sampling(draft, fingerprint)
    plan_budget(draft, budget_minutes)
    plan_augmentation(draft)
    for key, value in RECIPE.items():
        draft.choose(key, value, "")
    draft.choose("tracking.experiment", name, "")
    return draft
