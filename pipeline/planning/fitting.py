"""A draft and the means to measure it in; out the draft that its budget suffices for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline.config import Config
from pipeline.planning import recipe
from pipeline.planning.draft import Draft
from pipeline.planning.estimate import Estimate
from pipeline.planning.learning_rules import levels_for, plan_batch
from pipeline.planning.slice_rules import SMALLEST_WINDOW, STEP

NARROWEST = 16
"""Channels of the top level below which accuracy suffers more than from fewer passes."""
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
    found = measure(build(draft))
    for shrink, passes in ((_narrower, recipe.WIDE_PASSES), (_closer, recipe.FEWEST_PASSES)):
        if _is_short(found, passes) and shrink(draft, found):
            found = measure(build(draft))
    if _validate_less(draft, found):
        validations = {"validations": draft["training.validations"]}
        training = found.config.training.model_copy(update=validations)
        found = replace(found, config=found.config.model_copy(update={"training": training}))
    return Fitted(build(draft), found, _shortage(found))


def _is_short(found: Estimate, passes: float) -> bool:
    """Whether a budget holds fewer passes; steps or epochs that were given are never too few."""
    return found.config.training.budget_minutes is not None and found.passes < passes


def _narrower(draft: Draft, found: Estimate) -> bool:
    """Halve the channels of each level."""
    features = draft["network.features"]
    if draft.is_given("network.features") or features[0] // 2 < NARROWEST:
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


def _validate_less(draft: Draft, found: Estimate) -> bool:
    """Score the held-out cases less often where that takes too much of the budget."""
    if found.config.training.budget_minutes is None:
        return False
    room = recipe.MOST_VALIDATION_SHARE * 60 * found.minutes
    count = max(1, int(room / found.validation_seconds))
    if draft.is_given("training.validations") or count >= draft["training.validations"]:
        return False
    reason = f"one takes about {found.validation_seconds:.0f} s"
    draft.choose("training.validations", count, reason)
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
