"""Fine-tuning: starts a training with every weight of a model that means the same in both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from slicewise.config import UNET, Config, NetworkSection, Section, parse_config
from slicewise.errors import CheckpointError
from slicewise.segmentation.checkpoint import Checkpoint, load_weights
from slicewise.segmentation.networks import (
    NetworkAdapter,
    SegmentationNetwork,
    build_network,
)

_BODY = ("features", "normalization", "activation", "residual")
"""Settings of the network without which its weights mean nothing."""
_INPUT = ("downs.0.conv.0.weight", "downs.0.shortcut.weight")
"""Weights that see the input channels."""
_OUTPUT = "final_conv."
_LOWER_OUTPUTS = "level_convs."


def start_from(
    network: SegmentationNetwork, checkpoint: Checkpoint, config: Config, where: str
) -> list[str]:
    """Take over the weights of a trained model, as far as they mean the same.

    The outputs start from scratch where the structures differ in name or order. The first
    convolution follows the contrasts by name and the neighbours by distance, see ``_moved_inputs``.
    All other weights are taken over as they are, with the running means of batch normalisation.

    Which weights of another package's network see the input is unknown: it must have the same
    contrasts and context. Its outputs start from scratch like those of the U-Net, if it names them.

    Args:
        network: just built for ``config``; changed in place, where nothing fits left as it is.
        checkpoint: of the model that is started from; it holds its own configuration.
        config: of the training that begins.
        where: the file of the checkpoint, for errors.

    Returns:
        A sentence for each part that starts from scratch or differently; none where all fits.

    Raises:
        CheckpointError: damaged, or of another architecture.
    """
    learned = parse_config(checkpoint.config_yaml, where, trained=True)
    load_weights(build_network(learned), checkpoint.model, where)
    _require_same_body(learned.network, config.network, where)
    if isinstance(network, NetworkAdapter):
        return _start_adapter_from(network, checkpoint, learned, config, where)
    weights = dict(network.state_dict())
    sentences = [*_inputs(weights, checkpoint.model, learned, config)]
    sentences += _outputs(weights, checkpoint.model, learned, config)
    parts = (*_INPUT, _OUTPUT, _LOWER_OUTPUTS)
    for name, weight in checkpoint.model.items():
        if name in weights and not name.startswith(parts):
            weights[name] = weight
    network.load_state_dict(weights)
    return sentences


def _require_same_body(learned: NetworkSection, wanted: NetworkSection, where: str) -> None:
    names = ("name", *_BODY) if learned.name == wanted.name == UNET else ("name", "options")
    differing = [name for name in names if getattr(learned, name) != getattr(wanted, name)]
    if not differing:
        return
    found = (f"{name} {_shown(learned, name)}" for name in differing)
    expected = (f"{name} {_shown(wanted, name)}" for name in differing)
    remedy = " ".join(f"`settings` network.{name}={_shown(learned, name)}" for name in differing)
    raise CheckpointError(
        f"{where}: network",
        expected=f"the network of the configuration: {', '.join(expected)}",
        found=", ".join(found),
        remedy=f"take the network of the model ({remedy}), or train from scratch",
    )


def _shown(section: NetworkSection, name: str) -> str:
    """A value as a configuration writes it."""
    value = getattr(section, name)
    if isinstance(value, tuple):
        return f"[{','.join(map(str, value))}]"
    if isinstance(value, Section):
        return value.model_dump_json()
    return str(value).lower()


def _start_adapter_from(
    network: NetworkAdapter, checkpoint: Checkpoint, learned: Config, config: Config, where: str
) -> list[str]:
    """Take over all weights, without the outputs where the structures differ."""
    for key, ours, theirs in (
        ("data.contrasts", config.data.contrasts, learned.data.contrasts),
        ("network.context_slices", config.network.context_slices, learned.network.context_slices),
        ("network.coordinates", config.network.coordinates, learned.network.coordinates),
    ):
        if ours != theirs:
            raise _misfit(f"{where}: {key}", f"{ours}, as in the configuration", str(theirs))
    structures, wanted = list(learned.data.labels), list(config.data.labels)
    weights = dict(checkpoint.model)
    if structures == wanted:
        network.load_state_dict(weights)
        return []
    outputs = set(map(id, network.outputs.parameters()))
    if not outputs:
        raise _misfit(f"{where}: data.labels", ", ".join(wanted), ", ".join(structures))
    fresh = {name: weight for name, weight in network.named_parameters() if id(weight) in outputs}
    network.load_state_dict(weights | fresh)
    return [
        f"the outputs start from scratch: {', '.join(wanted)} instead of {', '.join(structures)}"
    ]


def _other_outputs(structures: Sequence[str], wanted: Sequence[str]) -> str:
    return f"the outputs start from scratch: {', '.join(wanted)} instead of {', '.join(structures)}"


def _misfit(where: str, expected: str, found: str) -> CheckpointError:
    return CheckpointError(
        where,
        expected=expected,
        found=found,
        remedy="the network of another package can only start from the same: take it as the model "
        "has it, or train from scratch",
    )


def _inputs(
    weights: dict[str, Tensor], learned: Mapping[str, Tensor], old: Config, new: Config
) -> list[str]:
    """Take over the weights of the input channels, as far as these mean the same."""
    names = [name for name in _INPUT if name in weights and name in learned]
    contrasts, wanted = old.data.contrasts, new.data.contrasts
    context, wanted_context = old.network.context_slices, new.network.context_slices
    if not set(contrasts) & set(wanted):
        return [
            f"the first convolution starts from scratch: it is to see {', '.join(wanted)}, "
            f"and has learned {', '.join(contrasts)}"
        ]
    for name in names:
        weights[name] = _moved_inputs(learned[name], old, new)
    sentences = []
    if unknown := [name for name in wanted if name not in contrasts]:
        sentences.append(f"the first convolution starts at zero for {', '.join(unknown)}")
    if gone := [name for name in contrasts if name not in wanted]:
        sentences.append(f"the first convolution forgets {', '.join(gone)}")
    if wanted_context > context:
        sentences.append("the first convolution starts at zero for the neighbours further away")
    if wanted_context < context:
        sentences.append("the first convolution takes the outermost neighbours for those beyond")
    if new.network.coordinates and not old.network.coordinates:
        sentences.append("the first convolution starts at zero for the coordinates")
    if old.network.coordinates and not new.network.coordinates:
        sentences.append("the first convolution forgets the coordinates")
    return sentences


def _moved_inputs(weight: Tensor, old: Config, new: Config) -> Tensor:
    """Weights of the old input channels at the places of the new ones.

    What a new contrast or a neighbour further away adds is zero at first, so the network begins
    as it was. Weights of neighbours that are no longer seen join the outermost one, which looks
    most like them. Where contrasts are gone, the others are scaled by the root of the share that
    stayed: channels have a standard deviation of 1, and the sum of fewer keeps its own.

    Args:
        weight: (features, (2 k + 1) * contrasts, height, width); neighbours, then contrasts. The
            coordinates come last.
        old: names contrasts and context of ``weight``.
        new: names those of the result.
    """
    contrasts, wanted = old.data.contrasts, new.data.contrasts
    context, wanted_context = old.network.context_slices, new.network.context_slices
    features, _, *kernel = weight.shape
    places = torch.zeros(features, new.coordinate_channels, *kernel, dtype=weight.dtype)
    weight, old_places = weight.tensor_split([weight.shape[1] - old.coordinate_channels], 1)
    if old.network.coordinates and new.network.coordinates:
        places = old_places
    learned = weight.reshape(features, 2 * context + 1, len(contrasts), *kernel)
    moved = torch.zeros(features, 2 * wanted_context + 1, len(wanted), *kernel, dtype=weight.dtype)
    shared = [name for name in wanted if name in contrasts]
    for offset in range(-context, context + 1):
        nearest = min(max(offset, -wanted_context), wanted_context)
        for name in shared:
            source = learned[:, offset + context, contrasts.index(name)]
            moved[:, nearest + wanted_context, wanted.index(name)] += source
    intensities = moved.flatten(1, 2) * math.sqrt(len(contrasts) / len(shared))
    return torch.cat([intensities, places], 1)


def _outputs(
    weights: dict[str, Tensor], learned: Mapping[str, Tensor], old: Config, new: Config
) -> list[str]:
    """Take over the outputs, as far as they name the same structures in the same order."""
    structures, wanted = list(old.data.labels), list(new.data.labels)
    if structures != wanted:
        return [_other_outputs(structures, wanted)]
    outputs = [name for name in weights if name.startswith((_OUTPUT, _LOWER_OUTPUTS))]
    for name in outputs:
        if name in learned:
            weights[name] = learned[name]
    if any(name not in learned for name in outputs):
        return ["the outputs of the lower levels start from scratch: the model has none"]
    return []
