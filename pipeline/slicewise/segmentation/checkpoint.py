"""Checkpoints: the state of a training in one checksummed file that plain torch.load reads.

The file is what ``torch.save`` writes, a zip archive, with the sha256 of all bytes before it as
the last bytes of the archive's comment. Every byte of the file is so accounted for.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from slicewise.config import NETWORKS, UNET
from slicewise.errors import CheckpointError, ModelError, file_problem
from slicewise.imaging.files import atomic_file, no_room

FORMAT = 2
"""Version of the content; a file of another version is refused."""

_MARK = b"slicewise sha256 "
_DIGEST_BYTES = 64  # hexadecimal digits
LAST, BEST = "last.pt", "best.pt"
"""Names of the checkpoints of the last step and of the best validation."""
_SIBLINGS = {LAST: BEST, BEST: LAST}
SPACING = "training_spacing"
"""Key of the facts with the ``TrainingSpacing``."""
_PLAIN_TYPES = (str, bytes, int, float, bool, type(None))
_NAMES_SHOWN = 3

# What unpickling and unzipping raise for bytes that make no sense.
_UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    OSError,
)


@dataclass(frozen=True)
class Checkpoint:
    """What a training leaves behind: enough to predict and, with its state, to go on.

    Attributes:
        config_yaml: the complete configuration of the run.
        model: the weights that predict, the running average where one is kept.
        training_state: optimiser, schedule, live weights and random states; none when done.
        facts: step, fold, score, cases and their spacing, code version, and the network with its
            package.

    ``training_state`` and ``facts`` hold tensors, strings, numbers and containers of them only.
    """

    config_yaml: str
    model: dict[str, Tensor]
    training_state: dict[str, Any] | None
    facts: dict[str, Any]


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint completely or not at all.

    Raises:
        OutputError: the file cannot be written.
        TypeError: a value could not be read back without running foreign code.
    """
    content = {
        "format": FORMAT,
        "config_yaml": checkpoint.config_yaml,
        "model": dict(checkpoint.model),
        "training_state": checkpoint.training_state,
        "facts": checkpoint.facts,
    }
    _require_plain(content, "checkpoint")
    with atomic_file(path) as temporary:
        _save(content, temporary, path)
        _seal(temporary)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint to the CPU after verifying every byte of it; runs no code from the file.

    Raises:
        ModelError: there is no such file.
        CheckpointError: the file is damaged, is no checkpoint, holds more than plain values or
            weights that are no finite numbers, or its network comes with a package that is not
            installed.
    """
    try:
        with path.open("rb") as source:
            _verify(source, path)
            source.seek(0)
            content = _load(source, path)
    except FileNotFoundError as error:
        raise ModelError(
            path, expected="a checkpoint", found="no such file", remedy=_remedy(path)
        ) from error
    except OSError as error:
        raise _damaged(path, file_problem(error)) from error
    checkpoint = _checkpoint(content, path)
    _require_numbers(checkpoint.model, path)
    _require_network(checkpoint, path)
    return checkpoint


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Put weights into a network; every name and shape must fit.

    Args:
        network: takes the weights, on whatever device it is.
        weights: parameters and buffers by name.
        where: the file they come from, for the error.

    Raises:
        CheckpointError: names the parameters that are missing, unexpected or of another shape.
    """
    own = network.state_dict()
    misfits = {
        "missing": [name for name in own if name not in weights],
        "unexpected": [name for name in weights if name not in own],
        "of another shape": [
            f"{name} {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
            for name in own
            if name in weights and weights[name].shape != own[name].shape
        ],
    }
    found = [_shortened(kind, names) for kind, names in misfits.items() if names]
    if found:
        raise CheckpointError(
            where,
            expected=f"the {len(own)} parameters of the network",
            found="; ".join(found),
            remedy="the network section of the config differs from the one it was trained with; "
            "use the config inside the checkpoint",
        )
    network.load_state_dict(weights, strict=True)


def _shortened(kind: str, names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{len(names)} {kind}: {', '.join(names[:_NAMES_SHOWN])}{more}"


def _require_plain(value: object, where: str) -> None:
    """Refuse at once what ``weights_only`` would refuse when the training is to go on.

    Types are compared exactly: a NumPy float is a float, but is pickled as NumPy code.
    """
    if isinstance(value, Tensor) or type(value) in _PLAIN_TYPES:
        return
    if type(value) in (dict, OrderedDict):
        assert isinstance(value, dict)
        for key, item in value.items():
            _require_plain(key, f"key of {where}")
            _require_plain(item, f"{where}[{key!r}]")
    elif type(value) in (list, tuple):
        assert isinstance(value, list | tuple)
        for position, item in enumerate(value):
            _require_plain(item, f"{where}[{position}]")
    else:
        raise TypeError(f"{where}: {type(value).__name__} has no place in a checkpoint")


def _save(content: dict[str, object], temporary: Path, path: Path) -> None:
    try:
        torch.save(content, temporary)
    except RuntimeError as error:
        # torch reports a full disk so, in words about its own containers.
        raise no_room(path, _size_bytes(content)) from error


def _size_bytes(value: object) -> int:
    """Of all tensors, which are nearly all of a checkpoint."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(_size_bytes, value.values()))
    return sum(map(_size_bytes, value)) if isinstance(value, list | tuple) else 0


def _seal(path: Path) -> None:
    with zipfile.ZipFile(path, mode="a") as archive:
        archive.comment = _MARK + b"0" * _DIGEST_BYTES
    with path.open("r+b") as file:
        digest = _digest(file)
        file.seek(-_DIGEST_BYTES, os.SEEK_END)
        file.write(digest)


def _verify(source: IO[bytes], path: Path) -> None:
    size = source.seek(0, os.SEEK_END)
    if size == 0:
        raise _damaged(path, "an empty file")
    if size < len(_MARK) + _DIGEST_BYTES:
        raise _damaged(path, f"{size} bytes")
    source.seek(size - _DIGEST_BYTES - len(_MARK))
    mark, stated = source.read(len(_MARK)), source.read(_DIGEST_BYTES)
    if mark != _MARK:
        raise _damaged(path, "no checksum at its end: cut off, or not written by slicewise")
    if _digest(source) != stated:
        raise _damaged(path, "bytes that do not match their sha256")


def _digest(source: IO[bytes]) -> bytes:
    """Checksum of all bytes before the place of the checksum, as hexadecimal digits."""
    remaining = source.seek(0, os.SEEK_END) - _DIGEST_BYTES
    source.seek(0)
    digest = hashlib.sha256()
    while block := source.read(min(remaining, 1 << 20)):
        digest.update(block)
        remaining -= len(block)
    return digest.hexdigest().encode()


def _load(source: IO[bytes], path: Path) -> object:
    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _damaged(path, "objects that are more than plain values and tensors") from error
    except _UNREADABLE as error:
        found = "a content that torch cannot read"
        raise _damaged(path, found) from error


def _checkpoint(content: object, path: Path) -> Checkpoint:
    match content:
        case {
            "format": int(version),
            "config_yaml": str(config_yaml),
            "model": dict(model),
            "training_state": dict() | None as training_state,
            "facts": dict(facts),
        } if version == FORMAT and all(isinstance(item, Tensor) for item in model.values()):
            return Checkpoint(config_yaml, model, training_state, facts)
        case {"format": int(version)} if version != FORMAT:
            raise _damaged(path, f"format {version}, which another version of slicewise wrote")
    raise _damaged(path, "a file without the parts of a checkpoint")


def _require_numbers(model: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights from which every mask would be empty."""
    spoilt = [
        name
        for name, value in model.items()
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]
    if spoilt:
        raise CheckpointError(
            path,
            expected="weights that are finite numbers",
            found=f"NaN or infinite values in {_shortened('parameters', spoilt)}",
            remedy=f"{_remedy(path)} with a lower training.learning_rate",
        )


def _require_network(checkpoint: Checkpoint, path: Path) -> None:
    """Say which package is missing, before the configuration is refused for a name in it."""
    # Older checkpoints hold a U-Net and do not say so.
    name = checkpoint.facts.get("network", UNET)
    if NETWORKS.is_installed(name):
        return
    package = checkpoint.facts["network_package"]
    raise CheckpointError(
        path,
        expected=f"the network {name}, which {package} provided for its training",
        found=f"only {', '.join(NETWORKS.names)}",
        remedy=f"install {package} in this environment",
    )


def _damaged(path: Path, found: str) -> CheckpointError:
    return CheckpointError(
        path,
        expected=f"an intact slicewise checkpoint of format {FORMAT}",
        found=found,
        remedy=_remedy(path),
    )


def _remedy(path: Path) -> str:
    name = _SIBLINGS.get(path.name)
    if name and (path.parent / name).is_file():
        other = path.parent / name
        return f"use {other} in its place (cp '{other}' '{path}'), or train again"
    return "copy the file again from where it was written, or train again"
