"""Fits network, window, batch and learning rate of a draft to its training budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from slicewise.config import UNET, Config
from slicewise.planning import recipe
from slicewise.planning.draft import Draft
from slicewise.planning.estimate import Estimate
from slicewise.planning.slice_rules import MIN_WINDOW, WINDOW_STEP
from slicewise.planning.training_rules import levels_for, plan_batch
from slicewise.segmentation.clocked_course import MAX_VALIDATION_FRACTION

MIN_CHANNELS = 16
"""Below so many channels at the top level, accuracy drops more than from fewer passes."""
_VALIDATIONS = "training.validations"
_SMALLER = 0.75


@dataclass(frozen=True)
class FittedPlan:
    """A plan with its estimated cost.

    Attributes:
        config: complete configuration.
        estimate: its cost.
        shortage: why the budget is still too short; empty if it suffices.
    """

    config: Config
    estimate: Estimate
    shortage: str


def fit_to_budget(
    draft: Draft,
    build: Callable[[Draft], Config],
    measure: Callable[[Config], Estimate],
) -> FittedPlan:
    """Make steps cheaper where the budget allows few of them.

    The network is narrowed, then the window shrunk, if there are too few passes over the data.
    If there are few steps, the learning rate is raised, and batches are halved until there are
    enough.

    Args:
        draft: changed in place.
        build: turns a draft into a configuration.
        measure: estimates the cost of a configuration.
    """
    found = _measured(draft, build, measure)
    for shrink, passes in (
        (_halve_channels, recipe.WIDE_PASSES),
        (_shrink_window, recipe.MIN_PASSES),
    ):
        if _is_short(found, passes) and shrink(draft, found):
            found = _measured(draft, build, measure)
    if _has_few_steps(found):
        reason = f"high, as only {found.steps} steps of {draft['training.batch_size']} would fit"
        draft.choose("training.learning_rate", recipe.FEW_STEPS_LEARNING_RATE, reason)
    while _has_few_steps(found) and _halve_batch(draft, found):
        found = _measured(draft, build, measure)
    return FittedPlan(build(draft), found, _shortage(found))


def _measured(
    draft: Draft, build: Callable[[Draft], Config], measure: Callable[[Config], Estimate]
) -> Estimate:
    """Estimate a draft, with as many validations as the budget allows."""
    found = measure(build(draft))
    budget_minutes = found.config.training.budget_minutes
    if budget_minutes is None or draft.is_overridden(_VALIDATIONS):
        return found
    room = MAX_VALIDATION_FRACTION * 60 * budget_minutes
    count = max(1, int(room / found.validation_seconds))
    if count < recipe.RECIPE[_VALIDATIONS]:
        draft.choose(
            _VALIDATIONS,
            count,
            f"as many as fit: one takes about {found.validation_seconds:.0f} s",
        )
    else:
        draft.choose(_VALIDATIONS, recipe.RECIPE[_VALIDATIONS], "")
    training = found.config.training.model_copy(update={"validations": draft[_VALIDATIONS]})
    return replace(found, config=found.config.model_copy(update={"training": training}))


def _is_short(found: Estimate, passes: float) -> bool:
    """Whether a budget in minutes allows fewer passes; steps and epochs are taken as they are."""
    return found.config.training.budget_minutes is not None and found.passes < passes


def _has_few_steps(found: Estimate) -> bool:
    """Whether a budget in minutes allows few steps; steps and epochs are taken as they are."""
    has_budget = found.config.training.budget_minutes is not None
    return has_budget and found.steps < recipe.FEW_STEPS


def _halve_batch(draft: Draft, found: Estimate) -> bool:
    """Halve the windows of a batch; returns whether it changed something."""
    size = draft["training.batch_size"]
    if draft.is_overridden("training.batch_size") or size // 2 < recipe.MIN_BATCH:
        return False
    reason = f"half of {size}, which would allow only {found.steps} steps in this budget"
    draft.choose("training.batch_size", size // 2, reason)
    return True


def _halve_channels(draft: Draft, found: Estimate) -> bool:
    """Halve the channels of each level; returns whether it changed something."""
    features = draft["network.features"]
    is_other = draft.overrides.get("network.name", UNET) != UNET
    if is_other or draft.is_overridden("network.features") or features[0] // 2 < MIN_CHANNELS:
        return False
    reason = f"half of {features}, which would allow only {_passes(found)} in this budget"
    draft.choose("network.features", [channels // 2 for channels in features], reason)
    return True


def _shrink_window(draft: Draft, found: Estimate) -> bool:
    """Shorten the sides of the window by a quarter; returns whether it changed something."""
    sides, features = list(draft["network.window"]), draft["network.features"]
    # Levels that the user has set must survive the poolings.
    needed = 2 ** len(features) if draft.is_overridden("network.features") else 0
    least = max(MIN_WINDOW, needed)
    smaller = [max(least, int(_SMALLER * side) // WINDOW_STEP * WINDOW_STEP) for side in sides]
    smaller = [min(pair) for pair in zip(sides, smaller, strict=True)]
    if draft.is_overridden("network.window") or smaller == sides:
        return False
    reason = f"smaller than {sides}, which would allow only {_passes(found)} in this budget"
    draft.choose("network.window", smaller, reason)
    levels = levels_for(smaller)
    if len(features) > levels:
        reason = f"{levels} levels, the most for the smaller window; window {reason}"
        draft.choose("network.features", features[:levels], reason)
    plan_batch(draft)
    return True


def _shortage(found: Estimate) -> str:
    if not _is_short(found, recipe.MIN_PASSES):
        return ""
    section = found.config.training
    steps = recipe.MIN_PASSES * found.slices / section.batch_size
    learning = steps * found.step_seconds
    # A longer budget has room for more validations, too.
    wanted = max(
        learning / (1 - MAX_VALIDATION_FRACTION),
        learning + section.validations * found.validation_seconds,
    )
    return (
        f"the budget allows {_passes(found)} over the data; {recipe.MIN_PASSES:.0f} passes would "
        f"take about {math.ceil(wanted / 60)} minutes a fold"
    )


def _passes(found: Estimate) -> str:
    return f"{found.passes:.1f} passes"
