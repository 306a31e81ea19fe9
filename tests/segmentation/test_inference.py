"""Slices taken apart and put together give what one look would; masks lie where the scan lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from tests.recorded_progress import RecordedTask
from torch import nn
from torch.nn import functional as F

from slicewise.config import (
    Config,
    InferenceSection,
    PostprocessingSection,
    SliceExclusiveSection,
    as_yaml,
)
from slicewise.errors import CheckpointError, GeometryError, ModelError, ScanError
from slicewise.imaging.volume import Volume
from slicewise.quantities import counted
from slicewise.segmentation.checkpoint import Checkpoint, save_checkpoint
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.member import Member
from slicewise.segmentation.sliding_window import classes_of, predict_slices
from slicewise.segmentation.unet import UNet

MakeConfig = Callable[..., Config]
CPU = torch.device("cpu")


def alone(config: Config, network: nn.Module) -> Predictor:
    """A predictor of one network."""
    return Predictor(config, [Member(network, config)], CPU)


class Logit(nn.Module):
    """Its sigmoid, or the second channel of its softmax, is the slice in the middle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        middle = windows.shape[1] // 2
        x = windows[:, middle : middle + 1]
        return torch.logit(x) if self.channels == 1 else torch.cat([(1 - x).log(), x.log()], 1)


class Threshold(nn.Module):
    """Tells classes by the intensity of the middle slice: between two edges lies class 1."""

    def __init__(self, *edges: float) -> None:
        super().__init__()
        self.edges = edges

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = windows[:, windows.shape[1] // 2]
        number = sum((x > edge).long() for edge in self.edges)
        assert isinstance(number, torch.Tensor)
        one_hot = nn.functional.one_hot(number, len(self.edges) + 1).movedim(-1, 1) * 40.0 - 20
        return one_hot[:, 1:] if len(self.edges) == 1 else one_hot


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(2, 40), st.integers(2, 40)),
    window=st.tuples(st.integers(4, 24), st.integers(4, 24)),
    overlap=st.sampled_from([0, 0.25, 0.5, 0.8]),
    context=st.integers(0, 2),
    channels=st.integers(1, 2),
    batch_size=st.integers(1, 5),
)
def test_an_identity_network_returns_its_input(
    make_config: MakeConfig,
    shape: tuple[int, int, int],
    window: tuple[int, int],
    overlap: float,
    context: int,
    channels: int,
    batch_size: int,
) -> None:
    config = make_config(
        network={"features": (4,), "window": window, "context_slices": context},
        inference={"overlap": overlap, "batch_size": batch_size},
    )
    generator = torch.Generator().manual_seed(sum(shape))
    slices = torch.rand(shape, generator=generator)[:, None] * 0.9 + 0.05  # (D, 1, H, W)
    found = predict_slices(Logit(channels), slices.movedim(1, 0), 0, config, CPU)
    assert found.shape == (shape[0], channels, *shape[1:])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[:, -1:], slices, atol=1e-5, rtol=0)


def test_classes() -> None:
    assert classes_of(torch.tensor([0.4, 0.6, 0.5]).reshape(1, 1, 1, 3)).tolist() == [[[0, 1, 0]]]
    softmax = torch.tensor([[0.5, 0.2], [0.3, 0.1], [0.2, 0.7]]).reshape(1, 3, 1, 2)
    assert classes_of(softmax).tolist() == [[[0, 2]]]


def base_affine(oblique: bool) -> NDArray[np.float64]:
    affine = np.diag([1.1, 0.9, 3.0, 1.0])
    if oblique:
        affine[:3, :3] = (
            Rotation.from_euler("zyx", [12, -9, 7], degrees=True).as_matrix() @ (affine[:3, :3])
        )
    affine[:3, 3] = [-31, 12, 55]
    return affine


def phantom(oblique: bool = False, codes: str = "RAS") -> tuple[Volume, NDArray[np.bool_]]:
    """A bright hook without any symmetry in a dark body amid empty space; where the hook is."""
    hook = np.zeros((23, 19, 6), bool)
    hook[3:7, 2:13, 1:4] = True
    hook[3:15, 2:5, 1] = True
    hook[5, 6, 4] = True
    random = np.random.default_rng(0)
    body = np.zeros_like(hook)
    body[2:20, 1:17, 1:5] = True
    voxels = np.where(hook, 900, 100) + random.integers(0, 50, hook.shape)
    voxels = np.where(body, voxels, 0).astype(np.int16)
    affine = base_affine(oblique)
    scan = Volume(voxels, affine, "scan").reoriented(codes)
    return scan, Volume(hook, affine).reoriented(codes).voxels


@pytest.mark.parametrize("window", [(8, 12), (32, 32)])
@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "SLA", "AIR", "PSL"])
def test_the_mask_is_the_bright_structure_voxel_by_voxel(
    make_config: MakeConfig, codes: str, oblique: bool, window: tuple[int, int]
) -> None:
    scan, hook = phantom(oblique, codes)
    predictor = alone(make_config(network={"window": window}), Threshold(1))
    mask = predictor.predict(scan)
    np.testing.assert_array_equal(mask.voxels, hook)
    np.testing.assert_array_equal(mask.affine, scan.affine)
    assert mask.voxels.dtype == np.uint8


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("crop", [False, True])
def test_any_plane_and_crop(make_config: MakeConfig, plane: str, crop: bool) -> None:
    scan, hook = phantom(True, "LSP")
    section = {"plane": plane, "crop_foreground": crop, "foreground": "nonzero"}
    config = make_config(preprocessing=section)
    mask = alone(config, Threshold(1)).predict(scan)
    np.testing.assert_array_equal(mask.voxels, hook)


def test_resampling_comes_back_to_the_native_grid(make_config: MakeConfig) -> None:
    scan, hook = phantom(True, "PSL")
    config = make_config(preprocessing={"spacing_mm": (0.5, 0.6)})
    half_way = (500 - scan.voxels.mean()) / scan.voxels.std()
    mask = alone(config, Threshold(half_way)).predict(scan)
    assert mask.shape == scan.shape
    common = np.count_nonzero(mask.voxels[hook])
    # A voxel that moved would cost more: the hook is three voxels thick.
    assert 2 * common / (np.count_nonzero(hook) + np.count_nonzero(mask.voxels)) > 0.95


@pytest.mark.parametrize("section", [{}, {"spacing_mm": (0.7, 2.1)}, {"crop_foreground": True}])
@pytest.mark.parametrize("edges", [(1.0,), (1.0, 2.3)])
def test_probabilities_sum_to_one_with_the_background_first(
    make_config: MakeConfig, section: dict[str, Any], edges: tuple[float, ...]
) -> None:
    scan, hook = phantom(True, "SLA")
    labels = {f"class_{number}": number for number in range(1, len(edges) + 1)}
    config = make_config(data={"labels": labels}, preprocessing={"foreground": "nonzero"} | section)
    prediction = alone(config, Threshold(*edges)).predict(scan)
    stacked = np.stack([item.voxels for item in prediction.probabilities])
    assert len(stacked) == len(labels) + 1
    np.testing.assert_allclose(stacked.sum(0), 1, atol=1e-5)
    assert stacked.min() >= 0
    np.testing.assert_array_equal(stacked.argmax(0), prediction.voxels)
    assert stacked[0][~hook].mean() > 0.9
    for item in prediction.probabilities:
        np.testing.assert_array_equal(item.affine, scan.affine)


def test_label_values_come_back(make_config: MakeConfig) -> None:
    scan, hook = phantom()
    brightest = scan.voxels > 930
    config = make_config(data={"labels": {"tail": 300, "head": 2}})
    # Class 1 is the tail, class 2 the head, in the order of the configuration.
    mean, deviation = scan.voxels.mean(), scan.voxels.std()
    edges = [(edge - mean) / deviation for edge in (500, 930.5)]
    mask = alone(config, Threshold(*edges)).predict(scan)
    expected = np.where(brightest, 2, np.where(hook, 300, 0))
    np.testing.assert_array_equal(mask.voxels, expected)
    assert mask.voxels.dtype == np.uint16


def test_two_contrasts_in_their_order(make_config: MakeConfig) -> None:
    scan, hook = phantom()
    other = scan.with_voxels(scan.voxels[::-1])
    config = make_config(data={"contrasts": ("T1", "T2")}, network={"context_slices": 0})

    class First(Threshold):
        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            assert windows.shape[1] == 2
            return super().forward(windows[:, :1])

    predictor = alone(config, First(1))
    np.testing.assert_array_equal(predictor.predict(scan, other).voxels, hook)
    np.testing.assert_array_equal(predictor.predict(other, scan).voxels, hook[::-1])


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_contrasts(make_config: MakeConfig, count: int) -> None:
    scan, _ = phantom()
    config = make_config(data={"contrasts": ("T1", "T2")})
    with pytest.raises(ScanError, match="T1, T2") as caught:
        alone(config, Threshold(1)).predict(*[scan] * count)
    assert caught.value.where == "scan"
    assert caught.value.found == counted(count, "volume")


def test_contrasts_on_different_grids(make_config: MakeConfig) -> None:
    config = make_config(data={"contrasts": ("T1", "T2")})
    with pytest.raises(GeometryError):
        alone(config, Threshold(1)).predict(phantom()[0], phantom(True)[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_no_numbers(make_config: MakeConfig, value: float) -> None:
    scan, _ = phantom()
    voxels = scan.voxels.astype(np.float32)
    voxels[1, 2, 3] = value
    with pytest.raises(ScanError, match="1 NaN or infinite") as caught:
        alone(make_config(), Threshold(1)).predict(scan.with_voxels(voxels))
    assert caught.value.where == "scan"


class Overflows(nn.Module):
    """Answers with a logit that is no number in one pixel of one slice."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value
        self.calls = 0

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        logits = windows[:, :1].clone()
        logits[0, 0, 0, 0] = self.value if self.calls == 1 else 0.0
        self.calls += 1
        return logits


@pytest.mark.fault(100, "E")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("mirror_axes", [(), ("up_down",)])
def test_no_mask_of_values_that_are_no_numbers(
    make_config: MakeConfig, value: float, mirror_axes: tuple[str, ...]
) -> None:
    config = make_config(inference={"batch_size": 2, "mirror_axes": mirror_axes})
    member = Member(Overflows(value), config, name="fold-3/last.pt")
    scan, _ = phantom()
    with pytest.raises(ScanError, match=r"NaN or infinite values.*by fold-3/last\.pt") as caught:
        Predictor(config, [member], CPU).predict(scan)
    assert caught.value.where == scan.name


def saved(config: Config, path: Path, seed: int) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = UNet.from_config(config)
    save_checkpoint(Checkpoint(as_yaml(config), network.state_dict(), None, {}), path)
    return path


def test_an_ensemble_averages_probabilities(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config()
    one, two = (saved(config, tmp_path / f"{seed}.pt", seed) for seed in (1, 2))
    scan, _ = phantom(True, "LPS")

    def structure(*paths: Path) -> NDArray[Any]:
        prediction = Predictor.from_checkpoint(*paths).predict(scan)
        return prediction.probabilities[1].voxels

    alone = [structure(one), structure(two)]
    assert np.abs(alone[0] - alone[1]).max() > 1e-3
    np.testing.assert_allclose(structure(one, two), np.mean(alone, axis=0), atol=1e-5)


def test_an_ensemble_computes_in_one_place(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # "meta" stands for a GPU, which the second member does not want.
    monkeypatch.setattr(
        "slicewise.segmentation.member.choose_device",
        lambda name: torch.device("cpu" if name == "cpu" else "meta"),
    )
    one = saved(make_config(training={"device": "auto"}), tmp_path / "one.pt", 1)
    two = saved(make_config(training={"device": "cpu"}), tmp_path / "two.pt", 2)
    predictor = Predictor.from_checkpoint(one, two)
    assert predictor.device.type == "cpu"
    places = {
        parameter.device.type
        for member in predictor.members
        for parameter in member.network.parameters()
    }
    assert places == {"cpu"}


def test_a_checkpoint_that_does_not_fit_its_configuration(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    network = UNet.from_config(make_config())
    wider = make_config(network={"features": (8, 16)})
    path = tmp_path / "best.pt"
    save_checkpoint(Checkpoint(as_yaml(wider), network.state_dict(), None, {}), path)
    with pytest.raises(CheckpointError, match="of another shape") as caught:
        Predictor.from_checkpoint(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("data.labels", {"data": {"labels": {"other": 1}}}),
        ("data.contrasts", {"data": {"contrasts": ["T2"]}}),
    ],
)
def test_an_ensemble_of_different_tasks(
    make_config: MakeConfig, tmp_path: Path, key: str, change: dict[str, Any]
) -> None:
    one = saved(make_config(), tmp_path / "one.pt", 1)
    two = saved(make_config(**change), tmp_path / "two.pt", 2)
    with pytest.raises(CheckpointError) as caught:
        Predictor.from_checkpoint(one, two)
    assert caught.value.where == f"{two}: {key}"


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        Predictor.from_checkpoint(tmp_path / "best.pt")


class Logits(nn.Module):
    """Sure of what is bright, and of one dark pixel of each slice."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        logits = torch.where(windows[:, 1:2] > 1, 2.0, -1.5)
        logits[:, :, 16, 16] = 1.0
        return logits


class Seen(nn.Module):
    """Adds up how often each size of slice was seen; says that all is background."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.sizes += [tuple(windows.shape[2:])] * len(windows)
        return torch.full_like(windows[:, :1], -5)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SLA", "PSL"])
def test_all_planes_give_the_structure_voxel_by_voxel(make_config: MakeConfig, codes: str) -> None:
    scan, hook = phantom(True, codes)
    config = make_config(preprocessing={"plane": "all"}, network={"window": (8, 12)})
    np.testing.assert_array_equal(alone(config, Threshold(1)).predict(scan).voxels, hook)


def test_all_planes_see_every_slice_of_each(make_config: MakeConfig) -> None:
    scan, _ = phantom()
    network = Seen()
    config = make_config(
        preprocessing={"plane": "all"}, network={"window": (4, 4), "features": (2,)}
    )
    config = config.model_copy(
        update={"network": config.network.model_copy(update={"window": (23, 23)})}
    )
    alone(config, network).predict(scan)
    # The first one asks for the memory of a window.
    assert len(network.sizes) == 1 + sum(scan.shape)


def test_members_of_other_planes_are_averaged_on_the_scan(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    scan, _ = phantom(True, "LPS")
    one = saved(make_config(preprocessing={"plane": "axial"}), tmp_path / "one.pt", 1)
    two = saved(
        make_config(
            preprocessing={"plane": "coronal", "spacing_mm": (1.0, 2.0)},
            network={"context_slices": 0, "features": (4,)},
        ),
        tmp_path / "two.pt",
        2,
    )
    apart = [
        Predictor.from_checkpoint(path).predict(scan).probabilities[1].voxels for path in (one, two)
    ]
    together = Predictor.from_checkpoint(one, two).predict(scan)
    mean = (apart[0] + apart[1]) / 2
    np.testing.assert_allclose(together.probabilities[1].voxels, mean, atol=1e-6)


def test_a_mirrored_scan_is_predicted_and_mirrored_back(make_config: MakeConfig) -> None:
    class Left(nn.Module):
        """Says 0.8 in the first row of what it sees, 0.2 elsewhere."""

        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            found = torch.full_like(windows[:, :1], 0.2)
            found[:, :, 0] = 0.8
            return torch.logit(found)

    scan, _ = phantom()
    config = make_config(
        preprocessing={"plane": "axial"},
        network={"window": (32, 32)},
        inference={"mirror_axes": ["left_right"]},
    )
    # The slices fill the window, so that the first row is the leftmost of the scan.
    network = config.network.model_copy(update={"window": (23, 19)})
    config = config.model_copy(update={"network": network})
    found = alone(config, Left()).predict(scan).probabilities[1].voxels
    np.testing.assert_allclose(found[0], 0.5, atol=1e-6)
    np.testing.assert_allclose(found[-1], 0.5, atol=1e-6)
    np.testing.assert_allclose(found[1:-1], 0.2, atol=1e-6)


def test_temperature_and_post_processing_are_applied(make_config: MakeConfig) -> None:
    scan, hook = phantom()
    config = make_config(preprocessing={"plane": "axial"}, network={"window": (32, 32)})
    plain = alone(config, Logits()).predict(scan)
    # The lone voxels that the network says, too, are less than a millilitre.
    assert plain.voxels.sum() > hook.sum()
    changed = InferenceSection(
        temperature=2.0, postprocessing={"disc": PostprocessingSection(largest_component=True)}
    )
    found = alone(config, Logits()).with_inference(changed).predict(scan)
    np.testing.assert_array_equal(found.voxels, hook)
    p = plain.probabilities[1].voxels.astype(np.float64)
    expected = p**0.5 / (p**0.5 + (1 - p) ** 0.5)
    np.testing.assert_allclose(found.probabilities[1].voxels, expected, atol=1e-5)


def test_divided_structures_share_no_slice(make_config: MakeConfig) -> None:
    class Both(nn.Module):
        """Sees the hook as one structure in dark voxels of it, and as another in bright ones."""

        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            middle = windows[:, 1]
            inside, bright = middle > 1, middle > middle.amax() - 0.2
            chosen = inside.long() + (inside & bright)
            return 5 * F.one_hot(chosen, 3).movedim(-1, 1).float()

    scan, hook = phantom(True, "LPS")
    config = make_config(
        data={"labels": {"front": 4, "back": 9}},
        preprocessing={"plane": "axial"},
        network={"window": (32, 32)},
    )
    plain = alone(config, Both()).predict(scan)
    division = SliceExclusiveSection(plane="coronal", structures=("front", "back"))
    changed = config.inference.model_copy(update={"slice_exclusive": (division,)})
    found = alone(config, Both()).with_inference(changed).predict(scan)
    np.testing.assert_array_equal(found.voxels > 0, hook)
    held = [
        [set(np.unique(mask.voxels[:, row])) - {0} for row in range(19)] for mask in (plain, found)
    ]
    assert any(len(values) == 2 for values in held[0])
    assert all(len(values) < 2 for values in held[1])
    for one, other in zip(plain.probabilities, found.probabilities, strict=True):
        np.testing.assert_array_equal(one.voxels, other.voxels)


def test_the_work_is_followed_through_all_networks_planes_and_mirror_images(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    scan, _ = phantom()  # 23 x 19 x 6 voxels
    mirrored = {"mirror_axes": ["left_right"], "batch_size": 64}
    one = saved(make_config(preprocessing={"plane": "axial"}), tmp_path / "one.pt", 1)
    two = saved(make_config(preprocessing={"plane": "all"}), tmp_path / "two.pt", 2)
    predictor = Predictor.from_checkpoint(one, two).with_inference(InferenceSection(**mirrored))
    task = RecordedTask("predicting", total=1)
    predictor.predict(scan, task=task)
    shares = task.completed
    sizes = np.array([23, 19, 6])
    planes = np.tile(sizes / sizes.sum() / 4, 2)
    assert shares[:2] == pytest.approx([0.25, 0.5])
    assert sorted(np.diff(shares[1:])) == pytest.approx(sorted(planes))
    assert shares[-1] == pytest.approx(1)
