"""A draft and the means to measure it in; out the draft that its budget suffices for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from slicewise.config import UNET, Config
from slicewise.planning import recipe
from slicewise.planning.draft import Draft
from slicewise.planning.estimate import Estimate
from slicewise.planning.learning_rules import levels_for, plan_batch
from slicewise.planning.slice_rules import SMALLEST_WINDOW, STEP

NARROWEST = 16
"""Channels of the top level below which accuracy suffers more than from fewer passes."""
_VALIDATIONS = "training.validations"
_SMALLER = 0.75


@dataclass(frozen=True)
class Fitted:
    """A plan with what it costs.

    Attributes:
        config: complete.
        estimate: of it.
        shortage: why the budget still does not suffice; empty where it does.
    """

    config: Config
    estimate: Estimate
    shortage: str


def fit_to_budget(
    draft: Draft,
    build: Callable[[Draft], Config],
    measure: Callable[[Config], Estimate],
) -> Fitted:
    """Shrink the network, then its window, where the budget holds too few passes over the data.

    Args:
        draft: is changed where the budget asks for it.
        build: makes the configuration of a draft.
        measure: estimates a configuration.
    """
    found = _measured(draft, build, measure)
    for shrink, passes in ((_narrower, recipe.WIDE_PASSES), (_closer, recipe.FEWEST_PASSES)):
        if _is_short(found, passes) and shrink(draft, found):
            found = _measured(draft, build, measure)
    return Fitted(build(draft), found, _shortage(found))


def _measured(
    draft: Draft, build: Callable[[Draft], Config], measure: Callable[[Config], Estimate]
) -> Estimate:
    """What a draft costs; held-out cases are scored as often as the budget has room for."""
    found = measure(build(draft))
    budget_minutes = found.config.training.budget_minutes
    if budget_minutes is None or draft.is_given(_VALIDATIONS):
        return found
    room = recipe.MOST_VALIDATION_SHARE * 60 * budget_minutes
    count = max(1, int(room / found.validation_seconds))
    if count < recipe.RECIPE[_VALIDATIONS]:
        draft.choose(_VALIDATIONS, count, f"one takes about {found.validation_seconds:.0f} s")
    else:
        draft.choose(_VALIDATIONS, recipe.RECIPE[_VALIDATIONS], "")
    training = found.config.training.model_copy(update={"validations": draft[_VALIDATIONS]})
    return replace(found, config=found.config.model_copy(update={"training": training}))


def _is_short(found: Estimate, passes: float) -> bool:
    """Whether a budget holds fewer passes; steps or epochs that were given are never too few."""
    return found.config.training.budget_minutes is not None and found.passes < passes


def _narrower(draft: Draft, found: Estimate) -> bool:
    """Halve the channels of each level."""
    features = draft["network.features"]
    is_other = draft.given.get("network.name", UNET) != UNET
    if is_other or draft.is_given("network.features") or features[0] // 2 < NARROWEST:
        return False
    reason = f"half of {features}, with which the budget holds {_passes(found)} only"
    draft.choose("network.features", [channels // 2 for channels in features], reason)
    return True


def _closer(draft: Draft, found: Estimate) -> bool:
    """Take a quarter off the sides of the window."""
    sides, features = list(draft["network.window"]), draft["network.features"]
    # Channels that were given keep their levels, which must survive the poolings.
    carried = 2 ** len(features) if draft.is_given("network.features") else 0
    least = max(SMALLEST_WINDOW, carried)
    smaller = [max(least, int(_SMALLER * side) // STEP * STEP) for side in sides]
    smaller = [min(pair) for pair in zip(sides, smaller, strict=True)]
    if draft.is_given("network.window") or smaller == sides:
        return False
    reason = f"smaller than {sides}, with which the budget holds {_passes(found)} only"
    draft.choose("network.window", smaller, reason)
    levels = levels_for(smaller)
    if len(features) > levels:
        reason = f"{levels} levels, as many as the smaller window carries; {reason}"
        draft.choose("network.features", features[:levels], reason)
    plan_batch(draft)
    return True


def _shortage(found: Estimate) -> str:
    if not _is_short(found, recipe.FEWEST_PASSES):
        return ""
    section = found.config.training
    steps = recipe.FEWEST_PASSES * found.slices / section.batch_size
    learning = steps * found.step_seconds
    # A longer budget has room for more validations, too.
    wanted = max(
        learning / (1 - recipe.MOST_VALIDATION_SHARE),
        learning + section.validations * found.validation_seconds,
    )
    return (
        f"the budget holds {_passes(found)} over the data; {recipe.FEWEST_PASSES:.0f} would take "
        f"about --budget {math.ceil(wanted / 60)}"
    )


def _passes(found: Estimate) -> str:
    return f"{found.passes:.1f} passes"
