"""Evidence of held-out cases about the ways to make a mask, kept as a line of JSON a case."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from slicewise.evaluation.inference_tuning.options import POSTPROCESSING, TEMPERATURES
from slicewise.imaging.files import write_text
from slicewise.imaging.own_files import OwnFile

EVIDENCE = "evidence.jsonl"
"""Lies in the folder of a fold."""
FORMAT = 2
"""Version of the lines, and of the options that they are about."""


@dataclass(frozen=True)
class MaskEvidence:
    """One mask of one structure.

    Attributes:
        dice: on the native grid; None where mask and reference are empty.
        estimated_dice: model-estimated, at each of ``TEMPERATURES``; 0 for an empty mask. See
            ``segmentation.confidence.estimated_dice``.
    """

    dice: float | None
    estimated_dice: tuple[float, ...]


@dataclass(frozen=True)
class StructureEvidence:
    """One structure of one case.

    Attributes:
        plain: its mask as the network made it.
        changed: name of each of ``POSTPROCESSING`` that changes this mask, to the other mask.
    """

    plain: MaskEvidence
    changed: Mapping[str, MaskEvidence]


@dataclass(frozen=True)
class CaseEvidence:
    """One out-of-fold case: its network was not trained on its patient.

    Attributes:
        case: its name.
        patient: whose it is, as results may say it.
        fold: that held it out.
        nll: mean negative log-likelihood of the voxels that are not certainly background, at
            each of ``TEMPERATURES``; None without such a voxel.
        structures: name to its evidence.
        mirrored: name of each option of mirroring to the Dice of each structure, None as above.
        format: see ``FORMAT``.
    """

    case: str
    patient: str
    fold: int
    nll: tuple[float, ...] | None
    structures: Mapping[str, StructureEvidence]
    mirrored: Mapping[str, Mapping[str, float | None]]
    format: int = FORMAT


_LINE = TypeAdapter(CaseEvidence)


def write_evidence(folder: Path, cases: Sequence[CaseEvidence]) -> None:
    """Write one line per case into the folder of a fold.

    Raises:
        OutputError: the folder cannot be written.
    """
    lines = (_LINE.dump_json(case).decode() + "\n" for case in cases)
    write_text(folder / EVIDENCE, "".join(lines))


def read_evidence(folder: Path, structures: Collection[str]) -> list[CaseEvidence]:
    """Read the lines of a fold.

    Args:
        folder: of the fold.
        structures: names that each line must have.

    Raises:
        DataError: no such file, a damaged one, or one about other structures or options.
    """
    file = OwnFile(
        folder / EVIDENCE,
        f"one line of JSON per held-out case, format {FORMAT}, as training writes it",
        "remove the file and continue the training of all folds with `resume`: the held-out cases "
        "of this fold are predicted once more",
    )
    cases = file.json_lines(_LINE)
    for number, case in enumerate(cases, start=1):
        if fault := _misfit(case, structures):
            raise file.damaged(fault, number)
    return cases


def _misfit(case: CaseEvidence, structures: Collection[str]) -> str:
    """Why a line cannot be used; empty where it can."""
    if case.format != FORMAT:
        return f"format {case.format}, which another version of slicewise wrote"
    if set(case.structures) != set(structures):
        return f"the structures {sorted(case.structures)}"
    found = case.structures.values()
    masks = [mask for item in found for mask in (item.plain, *item.changed.values())]
    curves = [mask.estimated_dice for mask in masks]
    curves += [case.nll] if case.nll is not None else []
    if any(len(curve) != len(TEMPERATURES) for curve in curves):
        return f"figures at other than {len(TEMPERATURES)} temperatures"
    unknown = {name for item in found for name in item.changed} - set(POSTPROCESSING)
    return f"unknown options {sorted(unknown)}" if unknown else ""
