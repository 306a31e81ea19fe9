"""Augmentations of other packages follow one another, and keep the shapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from slicewise.config import AUGMENTATIONS, AugmentationSection, Section
from slicewise.dataset.additional_augmentation import AdditionalAugmentation
from slicewise.errors import ConfigError

STEPS: dict[str, Any] = {
    "double": lambda images, labels, _: (2 * images, labels),
    "shift": lambda images, labels, _: (images + 1, labels),
    "crop": lambda images, labels, _: (images, labels[:, 1:]),
}


def augmentation(monkeypatch: pytest.MonkeyPatch, *names: str) -> AdditionalAugmentation:
    monkeypatch.setattr(type(AUGMENTATIONS), "build", lambda _, name, __: STEPS[name])
    options = dict.fromkeys(names, Section())
    section = AugmentationSection().model_copy(update={"additional": options})
    return AdditionalAugmentation(section)


def test_they_follow_in_the_order_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = torch.ones(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.int64)
    generator = torch.Generator()
    changed, _ = augmentation(monkeypatch, "double", "shift")(images, labels, generator)
    assert torch.equal(changed, torch.full_like(images, 3))
    changed, _ = augmentation(monkeypatch, "shift", "double")(images, labels, generator)
    assert torch.equal(changed, torch.full_like(images, 4))
    same, _ = augmentation(monkeypatch)(images, labels, generator)
    assert same is images


def test_another_shape_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = torch.ones(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.int64)
    with pytest.raises(ConfigError, match=r"additional\.crop") as caught:
        augmentation(monkeypatch, "double", "crop")(images, labels, torch.Generator())
    assert "(2, 3, 5)" in caught.value.found
