"""Packs a model into the folder that a registered model contains, and unpacks it.

``format.json`` has the version of the layout and the sha256 of every file. The members are
checkpoints without training state, so plain tensors and text that
``torch.load(weights_only=True)`` reads.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from slicewise.config import OWN_PACKAGE
from slicewise.errors import ModelError, file_problem
from slicewise.evaluation.inference_tuning.inference_file import (
    INFERENCE,
    inference_file,
    read_inference,
)
from slicewise.file_names import file_name
from slicewise.imaging.files import sha256_of, write_text
from slicewise.segmentation.checkpoint import load_checkpoint, save_checkpoint
from slicewise.segmentation.inference import Predictor

FORMAT = 2
"""Version of the layout. Version 1, a folder with one checkpoint, is still read."""
PACKED = "model"
"""Artifact of a servable model that ``unpack_model`` reads."""
ANSWER = ("mask", "volumes_ml", "confidence", "unlike", "notes")
"""Columns of an answer of a served model: a ``.nii.gz`` file in base64, and JSON objects."""
_INDEX = "format.json"
_MEMBERS = "members"
_MEMBER = re.compile(rf"{_MEMBERS}/\d+\.pt")
CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model.

    Attributes:
        members: one checkpoint per network; their probabilities are averaged.
        inference: tuned inference settings; None takes those of the first member's configuration.
    """

    members: tuple[Path, ...]
    inference: Path | None = None

    def load(self) -> Predictor:
        """Load the model for prediction.

        Raises:
            ModelError, CheckpointError, ConfigErrors: a file is missing or damaged, or the members
                do not fit together.
        """
        predictor = Predictor.from_checkpoint(*self.members)
        if self.inference is None:
            return predictor
        return predictor.with_inference(read_inference(self.inference, predictor.config))

    def digest(self) -> str:
        """Checksum of what predicts; a training that was resumed has that of an undisturbed one.

        Raises:
            ModelError, CheckpointError: a member is missing or damaged.
        """
        digest = hashlib.sha256()
        for member in self.members:
            checkpoint = load_checkpoint(member)
            digest.update(checkpoint.config_yaml.encode())
            for name, weight in sorted(checkpoint.model.items()):
                digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
                digest.update(weight.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        if self.inference is not None:
            digest.update(self.inference.read_bytes())
        return digest.hexdigest()


def pack_model(files: ModelFiles, card: str, folder: Path) -> list[str]:
    """Write a model into an empty folder.

    Args:
        files: of the model.
        card: model card in Markdown.
        folder: gets ``members/``, the inference settings, the card and ``format.json``.

    Returns:
        Pinned requirements: the packages of networks that do not come with Slicewise.

    Raises:
        ModelError, CheckpointError: a member is missing or damaged.
        OutputError: the folder cannot be written.
    """
    packages = set()
    for number, member in enumerate(files.members):
        slim = replace(load_checkpoint(member), training_state=None)
        save_checkpoint(slim, folder / _MEMBERS / f"{number}.pt")
        packages.add(slim.facts.get("network_package", OWN_PACKAGE))
    if files.inference is not None:
        write_text(folder / INFERENCE, inference_file(files.inference).text())
    write_text(folder / CARD, card)
    packed = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {path.relative_to(folder).as_posix(): sha256_of(path) for path in packed}
    index = {"format": FORMAT, "sha256": digests}
    write_text(folder / _INDEX, json.dumps(index, indent=2) + "\n")
    return [name.replace(" ", "==") for name in sorted(packages - {OWN_PACKAGE})]


def unpack_model(folder: Path, where: str) -> ModelFiles:
    """The files of a packed model, every byte of them verified.

    Args:
        folder: written by ``pack_model``, or with a single checkpoint (format 1).
        where: how the user named the model; errors begin with it.

    Raises:
        ModelError: another layout, or a file that is missing or does not match its checksum.
    """
    if not (folder / _INDEX).is_file():
        return ModelFiles((_sole_checkpoint(folder, where),))
    digests = _digests(folder, where)
    for name, digest in digests.items():
        for part in name.split("/"):
            file_name(part, f"{where}: {_INDEX}", kind=ModelError, remedy="do not use this model")
        path = folder / name
        if not path.is_file() or sha256_of(path) != digest:
            found = f"{name}, which was changed since" if path.is_file() else f"no {name}"
            raise _damaged(where, "the files that were registered, unchanged", found)
    members = sorted(filter(_MEMBER.fullmatch, digests), key=lambda name: int(Path(name).stem))
    if not members:
        raise _damaged(where, "at least one network", "no network")
    inference = folder / INFERENCE if INFERENCE in digests else None
    return ModelFiles(tuple(folder / name for name in members), inference)


def _digests(folder: Path, where: str) -> dict[str, str]:
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        version = int(index["format"])
        if version == FORMAT:
            return {str(name): str(digest) for name, digest in index["sha256"].items()}
        found = f"format {version}"
    except OSError as error:
        found = file_problem(error)
    except (ValueError, LookupError, TypeError, AttributeError):
        found = f"a damaged {_INDEX}"
    raise ModelError(
        where,
        expected=f"a model of format 1 or {FORMAT}",
        found=found,
        remedy="use the version of slicewise that registered it, or register it again",
    )


def _sole_checkpoint(folder: Path, where: str) -> Path:
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    if len(files) != 1:
        raise _damaged(where, f"{_INDEX}, or a single checkpoint", f"{len(files)} files")
    return files[0]


def _damaged(where: str, expected: str, found: str) -> ModelError:
    return ModelError(
        where,
        expected=expected,
        found=found,
        remedy="restore the artifacts of the run, use another version, or train again",
    )
