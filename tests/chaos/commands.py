"""The commands that are disturbed, what they start from, and what they leave."""

from __future__ import annotations

from dataclasses import dataclass

CONFIG = """
name: tiny
data: {root: scans, labels: {core: 3}, patient_pattern: '(case.)', fold_count: 2}
preprocessing: {plane: axial, foreground: all}
network: {features: [4, 8], window: [16, 16]}
training: {steps: 12, learning_rate: 0.1, validations: 3, batch_size: 4, keep: last}
inference: {batch_size: 8}
tracking: {experiment: tiny}
"""


@dataclass(frozen=True)
class Command:
    """A call of ``slicewise`` in a folder with scans.

    Attributes:
        name: in the table.
        start: the state of the folder that it starts from, see ``Arena``.
        arguments: of the call; the work folder is added.
        results: patterns of the files that it leaves.
        growing: endings of those results that an interrupted command may leave in another state
            than the last one: a training that goes on has them.
        on: how an interrupted command goes on, in place of ``arguments``.
        store: whether it uses the tracking store.
        weight: how often it is disturbed, compared to the others.
    """

    name: str
    start: str
    arguments: str
    results: str
    growing: tuple[str, ...] = ()
    on: str = ""
    store: bool = False
    weight: int = 1


_CONVERT = "convert dicom --out nifti"
_TRAIN = "train tiny.yaml --out model --workers 1"
_MODEL = "model/*.pt model/*.csv model/*.jsonl model/config.yaml model/masks/*.nii.gz"
_GROWING = (".pt", ".jsonl", "losses.csv", "config.yaml")

COMMANDS = (
    Command("check", "scans", "check scans --html check.html", "check.html"),
    Command("convert", "scans", _CONVERT, "nifti/*", on=f"{_CONVERT} --overwrite"),
    Command("preprocess", "scans", "preprocess tiny.yaml", "work/cache/??/*/*", weight=2),
    Command(
        *("train", "after preprocess", _TRAIN, _MODEL, _GROWING),
        on=f"{_TRAIN} --resume",
        store=True,
        weight=6,
    ),
    Command(
        *("resume", "interrupted", f"{_TRAIN} --resume", _MODEL, _GROWING), store=True, weight=5
    ),
    Command(
        *("predict", "after train", "predict model scans/images --out masks"),
        "masks/*.nii.gz masks/*.csv masks/*.ctbl",
        ("confidence.csv",),
        weight=3,
    ),
    Command(
        *("evaluate", "after predict", "evaluate masks scans/labels --out scores.csv"),
        "scores.csv",
        weight=2,
    ),
    Command("sync", "waiting", "sync", "", store=True, weight=3),
    Command("list", "after train", "runs list --json list.json", "list.json", store=True),
    Command("export", "after train", "runs export --all --out all.tgz", "all.tgz", store=True),
)
BY_NAME = {command.name: command for command in COMMANDS}
