"""The loss by hand on four pixels."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from slicewise.config import LOSSES, TrainingSection
from slicewise.errors import ConfigError
from slicewise.segmentation.losses import SegmentationLoss

SMOOTH = 1e-5  # MONAI's


def loss_of(name: str, channels: int) -> SegmentationLoss:
    return SegmentationLoss(TrainingSection(steps=1, loss=name), channels)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_dice_of_a_sigmoid_counts_the_whole_batch_at_once() -> None:
    # Two slices of two pixels; the second slice lacks the structure.
    probabilities = [[0.8, 0.3], [0.1, 0.2]]
    logits = torch.tensor([[[[logit(p) for p in row]]] for row in probabilities])  # (2, 1, 1, 2)
    classes = torch.tensor([[[1, 0]], [[0, 0]]])
    expected = 1 - (2 * 0.8 + SMOOTH) / ((0.8 + 0.3 + 0.1 + 0.2) + 1 + SMOOTH)
    assert loss_of("dice", 1)(logits, classes).item() == pytest.approx(expected, abs=1e-6)


def test_dice_of_a_softmax_leaves_the_background_out() -> None:
    # One slice of two pixels, background and two classes.
    pixels = [[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]
    logits = torch.tensor(pixels).log().T[None, :, None]  # (1, 3, 1, 2)
    classes = torch.tensor([[[1, 2]]])
    one = (2 * 0.5 + SMOOTH) / (0.5 + 0.1 + 1 + SMOOTH)
    two = (2 * 0.3 + SMOOTH) / (0.3 + 0.3 + 1 + SMOOTH)
    assert loss_of("dice", 3)(logits, classes).item() == pytest.approx(
        1 - (one + two) / 2, abs=1e-6
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_dice_ce_is_the_sum_of_both(channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, channels, 4, 5, generator=generator)
    classes = torch.randint(0, max(channels, 2), (3, 4, 5), generator=generator)
    entropy = (
        F.binary_cross_entropy_with_logits(logits[:, 0], classes.float())
        if channels == 1
        else F.cross_entropy(logits, classes)
    )
    dice = loss_of("dice", channels)(logits, classes)
    both = loss_of("dice_ce", channels)(logits, classes)
    assert both.item() == pytest.approx((dice + entropy).item(), abs=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_float32_under_autocast(channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, channels, 4, 5, generator=generator).bfloat16()
    classes = torch.randint(0, max(channels, 2), (2, 4, 5), generator=generator)
    loss = loss_of("dice_ce", channels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(logits, classes)
    assert value.dtype == torch.float32
    assert value.item() == loss(logits.float(), classes).item()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["dice", "dice_ce"])
def test_right_is_cheap_and_wrong_is_dear(name: str, channels: int) -> None:
    classes = torch.tensor([[[1, 0, 1, 0]]])
    one_hot = (
        classes[:, None].float() if channels == 1 else F.one_hot(classes, 3).movedim(-1, 1).float()
    )
    logits = (one_hot * 40 - 20).requires_grad_()
    right = loss_of(name, channels)(logits, classes)
    wrong = loss_of(name, channels)(logits.detach(), 1 - classes)
    # Of two structures, one is in neither: smoothing makes that a perfect score.
    assert right.item() < 1e-3
    assert wrong.item() > 0.45
    right.backward()
    assert torch.isfinite(logits.grad).all()  # type: ignore[arg-type]


def test_softened_borders_change_cross_entropy_alone() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 3, 6, 7, generator=generator)
    classes = torch.zeros(2, 6, 7, dtype=torch.int64)
    classes[:, 1:4, 2:5] = 1
    classes[1, 4:, 5:] = 2
    section = TrainingSection(steps=1, loss="dice_ce", border_smoothing_pixels=1.5)
    one_hot = F.one_hot(classes, 3).movedim(-1, 1).double().numpy()
    softened = gaussian_filter(one_hot, (0, 0, 1.5, 1.5), mode="nearest", truncate=4)
    entropy = -(torch.from_numpy(softened) * logits.double().log_softmax(1)).sum(1).mean()
    expected = loss_of("dice", 3)(logits, classes).item() + entropy.item()
    assert SegmentationLoss(section, 3)(logits, classes).item() == pytest.approx(expected, abs=2e-3)


def test_lower_levels_count_less_and_less() -> None:
    generator = torch.Generator().manual_seed(2)
    classes = torch.zeros(1, 8, 6, dtype=torch.int64)
    classes[:, 2:6, 2:4] = 1
    levels = [torch.randn(1, 1, 8 // k, 6 // k, generator=generator) for k in (1, 2)]
    loss = loss_of("dice_ce", 1)
    top, lower = loss(levels[0], classes), loss(levels[1], classes[:, ::2, ::2])
    assert loss.of_levels(levels, classes).item() == pytest.approx(
        (top.item() + lower.item() / 2) / 1.5, abs=1e-6
    )
    assert loss.of_levels(levels[:1], classes).item() == pytest.approx(top.item())


def test_the_loss_of_another_package_sees_float32_and_must_return_a_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mean_error(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        assert logits.dtype == torch.float32
        return (logits[:, 0].sigmoid() - classes).abs().mean()

    found: dict[str, object] = {"loss": mean_error}
    monkeypatch.setattr(type(LOSSES), "build", lambda *_: found["loss"])
    section = TrainingSection(steps=1).model_copy(update={"loss": "theirs"})
    classes = torch.tensor([[[0, 1], [1, 1]]])
    logits = torch.zeros(1, 1, 2, 2, dtype=torch.bfloat16)
    assert SegmentationLoss(section, 1)(logits, classes).item() == pytest.approx(0.5)
    found["loss"] = lambda logits, _: logits
    with pytest.raises(ConfigError, match=r"shape \(1, 1, 2, 2\)"):
        SegmentationLoss(section, 1)(logits, classes)
