"""Learning rates and running averages by hand."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from slicewise.config import TrainingSection
from slicewise.segmentation.optimization import (
    Optimization,
    RunningAverage,
    build_optimizer,
    learning_rate_factor,
)
from slicewise.segmentation.unet import UNet


def section(**values: Any) -> TrainingSection:
    return TrainingSection.model_validate({"steps": 100, "warmup_fraction": 0.1} | values)


@pytest.mark.parametrize("schedule", ["cosine", "polynomial"])
class TestSchedule:
    def test_ends(self, schedule: str) -> None:
        factors = [learning_rate_factor(section(schedule=schedule), s, 100) for s in range(101)]
        # Ten steps of warm-up: 1/11, 2/11, ..., then the peak.
        assert factors[:10] == pytest.approx([(n + 1) / 11 for n in range(10)])
        assert factors[10] == 1
        assert factors[100] == 0
        assert all(later < earlier for earlier, later in pairwise(factors[10:]))

    def test_beyond_the_end(self, schedule: str) -> None:
        assert learning_rate_factor(section(schedule=schedule), 120, 100) == 0

    def test_without_warmup(self, schedule: str) -> None:
        assert learning_rate_factor(section(schedule=schedule, warmup_fraction=0), 0, 100) == 1

    def test_a_single_step_learns(self, schedule: str) -> None:
        assert learning_rate_factor(section(schedule=schedule), 0, 1) == 1


def test_half_way() -> None:
    # Step 55 is half way between the peak at 10 and the end at 100.
    assert learning_rate_factor(section(schedule="cosine"), 55, 100) == pytest.approx(0.5)
    assert learning_rate_factor(section(schedule="polynomial"), 55, 100) == pytest.approx(0.5**0.9)
    assert learning_rate_factor(section(schedule="cosine"), 40, 100) == pytest.approx(
        (1 + math.cos(math.pi / 3)) / 2
    )


def test_the_learning_rate_is_that_of_the_schedule_of_torch() -> None:
    network, chosen = UNet(1, 1, (2,)), section(learning_rate=0.2)
    ours = Optimization(network, chosen, torch.device("cpu"))
    theirs = build_optimizer(network, chosen)
    schedule = LambdaLR(theirs, lambda step: learning_rate_factor(chosen, step, 100))
    for step in range(100):
        assert ours.update(learning_rate_factor(chosen, step, 100)) == schedule.get_last_lr()[0]
        assert [group["lr"] for group in ours.optimizer.param_groups] == schedule.get_last_lr()
        theirs.step()
        schedule.step()


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_the_named_optimizer(name: str, kind: type[torch.optim.Optimizer]) -> None:
    optimizer = build_optimizer(
        UNet(1, 1, (2,)), section(optimizer=name, learning_rate=0.3, weight_decay=0.07)
    )
    assert type(optimizer) is kind
    assert optimizer.defaults["lr"] == 0.3
    assert optimizer.defaults["weight_decay"] == 0.07
    if name == "sgd":
        assert optimizer.defaults["momentum"] == 0.99
        assert optimizer.defaults["nesterov"]


@pytest.mark.parametrize(("loss", "faster"), [("dice_ce", 10), ("dice", 1)])
def test_the_outputs_learn_faster_from_cross_entropy(loss: str, faster: float) -> None:
    network = UNet(1, 2, (2, 4, 4), deep_supervision=True)
    chosen = section(learning_rate=0.2, loss=loss)
    optimizer = build_optimizer(network, chosen)
    named = {id(parameter): name for name, parameter in network.named_parameters()}
    body, outputs = ([named[id(one)] for one in g["params"]] for g in optimizer.param_groups)
    assert {name.split(".")[0] for name in outputs} == {"final_conv", "level_convs"}
    assert sorted([*body, *outputs]) == sorted(named.values())
    slow, fast = (group["lr"] for group in optimizer.param_groups)
    assert fast == pytest.approx(faster * slow)


def one_number() -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    network.register_buffer("count", torch.tensor(0))
    return network


def averages(decay: float, values: list[float]) -> list[float]:
    network = one_number()
    average = RunningAverage(network, decay)
    seen = []
    for value in values:
        nn.init.constant_(network.weight, value)
        average.update_parameters(network)
        seen.append(average.module.weight.item())
    return seen


def test_running_average_by_hand() -> None:
    # The first update copies; then the decay is 2/11, 3/12, ... until it reaches its own value.
    first = 10.0
    second = first * 2 / 11 + 20 * 9 / 11
    third = second * 3 / 12 + 40 * 9 / 12
    assert averages(0.9, [10, 20, 40]) == pytest.approx([first, second, third])


def test_the_decay_stops_growing_at_its_value() -> None:
    # (1 + 3) / (10 + 3) exceeds 0.3 from the fourth update on.
    *_, third, fourth = averages(0.3, [10, 20, 40, 80])
    assert fourth == pytest.approx(third * 0.3 + 80 * 0.7)


def test_counters_are_copied_and_buffers_averaged() -> None:
    network = nn.BatchNorm2d(1)
    average = RunningAverage(network, 0.9)
    for count, mean in ((1, 10.0), (2, 20.0)):
        network.num_batches_tracked.fill_(count)  # type: ignore[union-attr, operator]
        network.running_mean.fill_(mean)  # type: ignore[union-attr]
        average.update_parameters(network)
    assert average.module.num_batches_tracked.item() == 2
    assert average.module.num_batches_tracked.dtype == torch.int64
    assert average.module.running_mean.item() == pytest.approx(10 * 2 / 11 + 20 * 9 / 11)


def test_the_network_itself_is_left_alone() -> None:
    network = one_number()
    average = RunningAverage(network, 0.9)
    nn.init.constant_(network.weight, 3)
    average.update_parameters(network)
    nn.init.constant_(average.module.weight, 9)
    assert network.weight.item() == 3
