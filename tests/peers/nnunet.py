"""nnU-Net 2D beside Slicewise: fold 0 in the same minutes, one after the other.

    python -m venv PEER
    PEER/bin/pip install torch==2.13.0 nnunetv2==2.8.1
    slicewise plan DATA --out mine.yaml --budget 30
    python tests/peers/nnunet.py mine.yaml FOLDER --nnunet PEER/bin --minutes 30

nnU-Net plans and trains as it does by itself, in float32 on a CPU. Only the number of its epochs is
fitted to the minutes (minutes_trainer.py), and its copy in PEER loses nnUNetTrainer/primus, whose
torchvision operators do not load. It gets the cases of the fold as Slicewise reads them, as NIfTI.
Masks of both are scored by ``slicewise evaluate``. nnU-Net predicts with its mirroring and without.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import slicewise
from slicewise.config import Config, load_config
from slicewise.dataset.case_qc import examine
from slicewise.dataset.catalogue import Case
from slicewise.dataset.splits import choose_fold, make_folds
from slicewise.evaluation.statistics import Distribution
from slicewise.imaging.nifti.writing import write_volume
from slicewise.workflows.prepare import PrepareOptions, prepare

TRAINER = "MinutesTrainer"
NAME = "Dataset001_Peer"
UNLIKE = 8
"""Exit code of a prediction with scans that are unlike those of the training."""


@dataclass(frozen=True)
class Timed:
    """A command that ended: its seconds, and the peak memory of its largest process in GB."""

    seconds: float
    memory_gb: float


def run(command: list[str], environment: dict[str, str], allowed: int = 0) -> Timed:
    """Run a command; its output goes to the error stream."""
    begun = time.monotonic()
    code = subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode
    assert code in (0, allowed), command
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return Timed(time.monotonic() - begun, peak)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def shown(found: Distribution) -> str:
    """A mean with its interval."""
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def write_case(case: Case, config: Config, images: Path, labels: Path) -> None:
    """A case as nnU-Net wants it: a file a contrast, and label values without gaps."""
    examined = examine(case, config)
    assert not examined.case.problems, examined.case.problems
    for number, volume in enumerate(examined.volumes):
        assert volume is not None
        write_volume(volume, images / f"{case.name}_{number:04d}.nii.gz")
    label = examined.label
    assert label is not None
    values = np.zeros(max(config.data.labels.values()) + 1, np.uint8)
    values[list(config.data.labels.values())] = np.arange(1, len(config.data.labels) + 1)
    write_volume(
        label.with_voxels(values[label.voxels.astype(int)]), labels / f"{case.name}.nii.gz"
    )


def write_data_set(config: Config, work: Path, folder: Path) -> tuple[Path, float]:
    """Fold 0 in nnU-Net's layout; returns its folder and the seconds of our own preprocessing."""
    begun = time.monotonic()
    data = prepare(PrepareOptions(config, work))
    seconds = time.monotonic() - begun
    folds = make_folds(data.catalogue.labelled, config.data, data.prepared.structures_ml)
    fold = choose_fold(folds, 0)
    raw = folder / "raw" / NAME
    for name in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (raw / name).mkdir(parents=True)
    usable = set(data.cases)
    sides = (("Tr", fold.train), ("Ts", fold.val))
    for side, names in sides:
        for name in sorted(usable.intersection(names)):
            case = data.catalogue.case(name)
            write_case(case, config, raw / f"images{side}", raw / f"labels{side}")
    description = {
        "channel_names": dict(enumerate(config.data.contrasts)),
        "labels": {"background": 0}
        | {name: number for number, name in enumerate(config.data.labels, 1)},
        "numTraining": len(list((raw / "labelsTr").iterdir())),
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(description))
    return raw, seconds


def peer(raw: Path, folder: Path, commands: Path, minutes: float) -> dict[str, Path]:
    """Plan, train and predict with nnU-Net; returns its masks with and without mirroring."""
    package = next(commands.parent.glob("lib/python*/site-packages/nnunetv2"))
    shutil.rmtree(package / "training" / "nnUNetTrainer" / "primus", ignore_errors=True)
    cores = str(os.cpu_count())
    environment = dict(os.environ) | {
        "nnUNet_raw": str(raw.parent),
        "nnUNet_preprocessed": str(folder / "preprocessed"),
        "nnUNet_results": str(folder / "results"),
        "nnUNet_extTrainer": str(Path(__file__).parent),
        "nnUNet_compile": "0",
        "nnUNet_n_proc_DA": "1",
        "nnUNet_def_n_proc": cores,
        "MINUTES": str(minutes),
    }
    environment.pop("PYTHONPATH", None)

    def timed(command: str, *options: str) -> Timed:
        return run([str(commands / command), *options], environment)

    found = timed("nnUNetv2_plan_and_preprocess", "-d", "1", "-c", "2d", "-np", cores)
    say(f"nnU-Net: plan and preprocessing {found.seconds:.0f} s")
    # All cases of the data set are for training: those held out are not in it.
    cases = sorted(path.name.removesuffix(".nii.gz") for path in (raw / "labelsTr").iterdir())
    splits = [{"train": cases, "val": cases[:1]}]
    (folder / "preprocessed" / NAME / "splits_final.json").write_text(json.dumps(splits))
    device = ("-device", "cpu")
    found = timed("nnUNetv2_train", "1", "2d", "0", "-tr", TRAINER, *device)
    say(f"nnU-Net: training {found.seconds / 60:.1f} min, up to {found.memory_gb:.1f} GB")
    masks = {}
    for kind, options in (("mirrored", ()), ("plain", ("--disable_tta",))):
        masks[kind] = folder / f"nnunet {kind}"
        what = ("-i", str(raw / "imagesTs"), "-o", str(masks[kind]), "-d", "1", "-c", "2d")
        chosen = ("-tr", TRAINER, "-f", "0", "-npp", "1", "-nps", "1", *options)
        found = timed("nnUNetv2_predict", *what, *chosen, *device)
        each = found.seconds / len(list((raw / "labelsTs").iterdir()))
        say(f"nnU-Net, {kind}: prediction {each:.1f} s a scan with its start")
    return masks


def own(config: Path, raw: Path, folder: Path, minutes: float) -> dict[str, Path]:
    """The same with Slicewise."""
    work = folder / "work"
    begun = time.monotonic()
    model = folder / "slicewise"
    settings = [f"training.budget_minutes={minutes}"]
    result = slicewise.train(config, out=model, work=work, settings=settings)
    say(f"Slicewise: training and scores of the fold {(time.monotonic() - begun) / 60:.1f} min")
    say(f"Slicewise, as trained: mean Dice {shown(result.mean_dice)}")
    again = folder / "predicted again"
    program = [sys.executable, "-m", "slicewise", "predict", str(model), str(raw / "imagesTs")]
    found = run([*program, "--out", str(again), "--work", str(work)], dict(os.environ), UNLIKE)
    each = found.seconds / len(list((raw / "labelsTs").iterdir()))
    say(f"Slicewise: prediction {each:.1f} s a scan with its start")
    # Those of the training have the names of the cases.
    return {"Slicewise": model / "masks"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, help="of `slicewise plan`")
    parser.add_argument("folder", type=Path, help="of data, models and masks; new")
    parser.add_argument("--nnunet", type=Path, required=True, help="folder of its commands")
    parser.add_argument("--minutes", type=float, default=30)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    config = load_config(arguments.config)
    raw, seconds = write_data_set(config, folder / "work", folder)
    say(f"Slicewise: preprocessing {seconds:.0f} s")
    masks = own(arguments.config, raw, folder, arguments.minutes)
    masks |= peer(raw, folder, arguments.nnunet.resolve(), arguments.minutes)
    labels = {name: number for number, name in enumerate(config.data.labels, 1)}
    named = config.model_copy(update={"data": config.data.model_copy(update={"labels": labels})})
    for kind, found in masks.items():
        out = folder / f"{kind}.csv"
        scores = slicewise.evaluate(found, raw / "labelsTs", out=out, config=named)
        say(f"{kind}: mean Dice {shown(scores.mean_dice)}")
        say(scores.summary.to_string())


if __name__ == "__main__":
    main()
