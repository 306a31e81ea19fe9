"""Sections: what they refuse, what follows from them, and that they stay as they are."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from slicewise.config import (
    AugmentationSection,
    Config,
    DataSection,
    InferenceSection,
    NetworkSection,
    PreprocessingSection,
    TrainingSection,
)
from slicewise.config.sections import Section


def config(data: DataSection, context_slices: int = 1) -> Config:
    return Config(
        name="trial",
        data=data,
        network=NetworkSection(context_slices=context_slices),
        training=TrainingSection(epochs=1),
    )


@pytest.mark.parametrize(
    ("contrasts", "context_slices", "channels"),
    [(("T1",), 1, 3), (("T1",), 0, 1), (("T1", "T2", "FLAIR"), 0, 3), (("T1", "T2"), 2, 10)],
)
def test_input_channels(contrasts: tuple[str, ...], context_slices: int, channels: int) -> None:
    assert config(DataSection(contrasts=contrasts), context_slices).in_channels == channels


@pytest.mark.parametrize(
    ("labels", "channels"),
    [({"lesion": 5}, 1), ({"a": 1, "b": 2}, 3), ({"a": 9, "b": 2, "c": 4}, 4)],
)
def test_output_channels(labels: dict[str, int], channels: int) -> None:
    assert config(DataSection(labels=labels)).out_channels == channels


def test_classic_network_is_the_default() -> None:
    assert NetworkSection().features == (64, 128, 256, 512)
    binary = config(DataSection(labels={"lesion": 1}))
    assert (binary.in_channels, binary.out_channels) == (3, 1)


def test_model_is_called_as_the_configuration_unless_named() -> None:
    plain = config(DataSection())
    named = plain.model_copy(
        update={"tracking": plain.tracking.model_copy(update={"model_name": "other"})}
    )
    assert (plain.model_name, named.model_name) == ("trial", "other")


def test_sections_are_frozen() -> None:
    one = config(DataSection())
    for section in (one, one.data, one.training, one.network, one.augmentation):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, next(iter(type(section).model_fields)), None)


@pytest.mark.parametrize(
    ("window", "levels", "fits"),
    [((16, 16), 4, True), ((15, 16), 4, False), ((64, 15), 4, False), ((2, 2), 1, True)],
)
def test_window_must_survive_the_poolings(window: tuple[int, int], levels: int, fits: bool) -> None:
    features = (8,) * levels
    if fits:
        assert NetworkSection(features=features, window=window).window == window
    else:
        with pytest.raises(ValidationError, match="at least 16 x 16"):
            NetworkSection(features=features, window=window)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (DataSection, {"labels": {"background": 0}}),
        (DataSection, {"labels": {"a": 1, "b": 1}}),
        (DataSection, {"contrasts": []}),
        (DataSection, {"contrasts": ["T1", "T1"]}),
        (DataSection, {"patient_pattern": "(unclosed"}),
        (DataSection, {"patient_pattern": "no group"}),
        (DataSection, {"fold_count": 1}),
        (DataSection, {"fold_seed": -1}),
        (DataSection, {"fold_seed": 2**32}),
        (DataSection, {"layout": "bids"}),
        (DataSection, {"scans_per_patient": 0}),
        (DataSection, {"patient_pattern": None, "scans_per_patient": 2}),
        (PreprocessingSection, {"spacing_mm": [1.0]}),
        (PreprocessingSection, {"spacing_mm": [1.0, 0.0]}),
        (PreprocessingSection, {"spacing_mm": [1.0, float("nan")]}),
        (PreprocessingSection, {"clip_percentiles": [99, 1]}),
        (PreprocessingSection, {"clip_percentiles": [50, 50]}),
        (PreprocessingSection, {"clip_percentiles": [0, 101]}),
        (PreprocessingSection, {"clip_percentiles": [0, 50, 100]}),
        (PreprocessingSection, {"plane": "oblique"}),
        (NetworkSection, {"features": []}),
        (NetworkSection, {"features": [8, 0]}),
        (NetworkSection, {"dropout": 1.0}),
        (NetworkSection, {"context_slices": -1}),
        (TrainingSection, {"epochs": 1, "learning_rate": 0}),
        (TrainingSection, {"epochs": 1, "learning_rate": float("inf")}),
        (TrainingSection, {"epochs": 1, "foreground_fraction": 1.5}),
        (TrainingSection, {"epochs": 1, "loss": "dice", "border_smoothing_pixels": 1.0}),
        (TrainingSection, {"epochs": 1, "ema_decay": 1.0}),
        (AugmentationSection, {"noise_probability": -0.1}),
        (AugmentationSection, {"noise_probability": float("nan")}),
        (AugmentationSection, {"scale_range": [1.2, 0.8]}),
        (AugmentationSection, {"scale_range": [0, 1]}),
        (AugmentationSection, {"gamma_range": [float("nan"), 1]}),
        (AugmentationSection, {"gamma_range": [0.5, float("inf")]}),
        (InferenceSection, {"overlap": 1.0}),
        (InferenceSection, {"batch_size": 0}),
    ],
)
def test_values_that_make_no_sense(section: type[Section], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        section.model_validate(values)
    last = list(values)[-1]
    assert {detail["loc"][0] for detail in caught.value.errors()} == {last}


@pytest.mark.parametrize("name", ["", "a b", "../up", ".hidden", "a/b"])
def test_names_that_are_no_file_names(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        Config(name=name, data=DataSection(), training=TrainingSection(epochs=1))


def test_mirroring_needs_a_plane_that_all_scans_share() -> None:
    values: dict[str, Any] = {
        "name": "trial",
        "data": {},
        "training": {"steps": 1},
        "augmentation": {"mirror_axes": ["left_right"]},
    }
    with pytest.raises(ValidationError, match="that names a plane, or all"):
        Config.model_validate(values)
    assert Config.model_validate(values | {"preprocessing": {"plane": "all"}})


def test_divisions_name_structures_of_the_labels() -> None:
    values: dict[str, Any] = {
        "name": "trial",
        "data": {"labels": {"front": 1, "back": 2}},
        "training": {"steps": 1},
    }
    division = {"plane": "coronal", "structures": ["front", "top"]}
    with pytest.raises(ValidationError, match=r"names of data.labels in inference.slice_exclusive"):
        Config.model_validate(values | {"inference": {"slice_exclusive": [division]}})
    division["structures"] = ["front"]
    with pytest.raises(ValidationError, match="at least 2"):
        Config.model_validate(values | {"inference": {"slice_exclusive": [division]}})


def test_one_contrast_is_never_dropped() -> None:
    values: dict[str, Any] = {
        "name": "trial",
        "data": {},
        "training": {"steps": 1},
        "augmentation": {"contrast_dropout_probability": 0.1},
    }
    with pytest.raises(ValidationError, match=r"several data\.contrasts"):
        Config.model_validate(values)
    assert Config.model_validate(values | {"data": {"contrasts": ["T1", "T2"]}})


@pytest.mark.parametrize("section", ["augmentation", "inference"])
def test_nothing_is_mirrored_with_coordinates(section: str) -> None:
    values: dict[str, Any] = {
        "name": "trial",
        "data": {},
        "preprocessing": {"plane": "axial"},
        "network": {"coordinates": True},
        "training": {"steps": 1},
    }
    assert Config.model_validate(values).in_channels == 6
    with pytest.raises(ValidationError, match=rf"no {section}\.mirror_axes"):
        Config.model_validate(values | {section: {"mirror_axes": ["left_right"]}})


def test_a_contrast_that_is_off_needs_no_quotes() -> None:
    assert AugmentationSection.model_validate({"contrast": False}).contrast == "off"
    with pytest.raises(ValidationError, match="contrast"):
        AugmentationSection.model_validate({"contrast": True})


@pytest.mark.parametrize(
    ("plane", "spacing_mm"), [("all", (1.0, 1.0)), ("axial", (1.0, 1.0, 1.0)), ("all", (1.0,))]
)
def test_spacing_has_as_many_numbers_as_the_plane_needs(
    plane: str, spacing_mm: tuple[float, ...]
) -> None:
    with pytest.raises(ValidationError, match="numbers with plane"):
        PreprocessingSection.model_validate({"plane": plane, "spacing_mm": spacing_mm})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"plane": "all"}, "slices of a single plane with longest_side"),
        ({"spacing_mm": [1.0, 1.0]}, "spacing_mm or longest_side"),
        ({"longest_side": 8}, "greater than or equal to 16"),
    ],
)
def test_a_longest_side_is_of_slices_without_another_size(
    values: dict[str, Any], said: str
) -> None:
    assert PreprocessingSection(longest_side=256, plane="axial").longest_side == 256
    with pytest.raises(ValidationError, match=said):
        PreprocessingSection.model_validate({"longest_side": 256} | values)


def test_deep_supervision_needs_a_level_between_the_first_and_the_last() -> None:
    assert NetworkSection(features=(8, 8, 8), deep_supervision=True).deep_supervision
    with pytest.raises(ValidationError, match="3 features or more with deep_supervision"):
        NetworkSection(features=(8, 8), deep_supervision=True)


def test_post_processing_is_of_structures_that_there_are() -> None:
    with pytest.raises(ValidationError, match=r"inference\.postprocessing"):
        Config.model_validate(
            {
                "name": "trial",
                "data": {"labels": {"a": 1}},
                "training": {"steps": 1},
                "inference": {"postprocessing": {"b": {"fill_holes": True}}},
            }
        )
