"""The folder of a run: every file that a training or a baseline leaves there, read safely."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slicewise.config import Config
from slicewise.errors import DataError, ModelError
from slicewise.evaluation.inference_tuning.evidence import EVIDENCE
from slicewise.evaluation.inference_tuning.inference_file import INFERENCE
from slicewise.evaluation.inference_tuning.tuning import INFERENCE_TUNING
from slicewise.evaluation.results import CONFIG, HISTORY, LOSSES, MASKS, REPORT, RESULTS, SCORES
from slicewise.imaging.files import write_text
from slicewise.segmentation.checkpoint import BEST, LAST
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.records import read_json, read_record, write_record

EXAMPLES = "examples.png"
"""Held-out cases from the worst to the best."""
BASELINE = "baseline.json"
"""What a baseline chose, in words and in figures."""
_RUN = "run.json"
"""The id under which the run is tracked."""
_FINISHED = "model.json"
"""Only a training that came to its end has it: names the checkpoint that is the model."""
_INITIAL = "initial.json"
"""The model that a training started from."""
_ENSEMBLE = "ensemble.json"
"""Under which version the networks of all folds are registered together."""
TRAINING_FILES = (
    _FINISHED, LAST, BEST, _RUN, HISTORY, LOSSES, SCORES, RESULTS, EVIDENCE, _INITIAL
)  # fmt: skip
"""What a training leaves, but for its folders."""
BASELINE_FILES = (BASELINE, CONFIG, _RUN, SCORES, RESULTS, EXAMPLES)
"""What a baseline leaves, but for its folders."""
_MOST_NAMES = 6


@dataclass(frozen=True)
class RunFolder:
    """A folder of a training, of all folds of one, or of a baseline.

    Attributes:
        path: of the folder; it need not exist.
    """

    path: Path

    # --- its files -------------------------------------------------------------------------------

    @property
    def last(self) -> Path:
        """Checkpoint of the last step, with the state of the training."""
        return self.path / LAST

    @property
    def best(self) -> Path:
        """Checkpoint of the best validation."""
        return self.path / BEST

    @property
    def config(self) -> Path:
        """The complete configuration, with the steps that a budget was turned into."""
        return self.path / CONFIG

    @property
    def scores(self) -> Path:
        """One row per held-out case and structure."""
        return self.path / SCORES

    @property
    def losses(self) -> Path:
        """Training losses, averaged over stretches."""
        return self.path / LOSSES

    @property
    def masks(self) -> Path:
        """Folder of the masks of the held-out cases."""
        return self.path / MASKS

    @property
    def examples(self) -> Path:
        """Picture of held-out cases from the worst to the best."""
        return self.path / EXAMPLES

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.path / REPORT

    @property
    def evidence(self) -> Path:
        """What other masks of the held-out cases would have scored."""
        return self.path / EVIDENCE

    @property
    def inference(self) -> Path:
        """How the ensemble of all folds makes masks, tuned on held-out cases."""
        return self.path / INFERENCE

    @property
    def inference_tuning(self) -> Path:
        """Everything that was tried in the tuning of the inference."""
        return self.path / INFERENCE_TUNING

    @property
    def baseline(self) -> Path:
        """What a baseline chose."""
        return self.path / BASELINE

    # --- its folds -------------------------------------------------------------------------------

    def fold(self, number: int) -> RunFolder:
        """The folder of one fold of several."""
        return RunFolder(self.path / f"fold-{number}")

    @property
    def folds(self) -> list[RunFolder]:
        """The folders of folds in which a training has begun."""
        return [RunFolder(path.parent) for path in sorted(self.path.glob(f"fold-*/{LAST}"))]

    # --- its state -------------------------------------------------------------------------------

    @property
    def has_training(self) -> bool:
        """Whether a training has saved a checkpoint here."""
        return self.last.exists()

    @property
    def is_finished(self) -> bool:
        """Whether a training came to its end here."""
        return (self.path / _FINISHED).is_file()

    @property
    def network(self) -> Path | None:
        """A file that a training left here, or in the folders of folds; None without one."""
        files = [self.last, self.path / _FINISHED, *(fold.last for fold in self.folds)]
        return next((path for path in files if path.exists()), None)

    @property
    def has_run(self) -> bool:
        """Whether the folder names the run under which it is tracked."""
        return (self.path / _RUN).is_file()

    def kept_checkpoint(self, config: Config) -> Path:
        """The checkpoint that a training with this configuration leaves as its model."""
        return self.path / f"{config.training.keep}.pt"

    def finish(self, config: Config, facts: Mapping[str, str]) -> None:
        """Mark the training as finished, which makes the folder a model.

        Args:
            config: of the training.
            facts: ``run`` (its id), ``registered`` and what it started from, as far as known.
        """
        content = {"checkpoint": self.kept_checkpoint(config).name, **facts}
        write_record(self.path / _FINISHED, content)

    def finished_facts(self) -> dict[str, str]:
        """What ``finish`` wrote.

        Raises:
            DataError: the record is missing or damaged.
        """
        return read_record(self.path / _FINISHED, ("checkpoint",))

    def checkpoints(self) -> list[Path]:
        """The checkpoints of a finished training: one, or one a fold.

        Raises:
            ModelError: no training lies there, or one that did not come to its end.
            DataError: the record of its end is damaged.
        """
        # A folder of a fold without a checkpoint is an unfinished fold, which must not be left out.
        folds = [RunFolder(path) for path in sorted(self.path.glob("fold-*/"))]
        begun = [self] if self.last.is_file() else folds
        if not begun:
            names = sorted(path.name for path in self.path.iterdir())[:_MOST_NAMES]
            raise ModelError(
                self.path,
                expected="a model that `slicewise train` wrote",
                found=", ".join(names) or "an empty folder",
                remedy="give the folder of a training",
            )
        for folder in begun:
            if not folder.is_finished:
                raise ModelError(
                    folder.path,
                    expected="a finished training",
                    found=f"no {_FINISHED}",
                    remedy=f"continue it with `resume`, or give its {LAST} to use it as it is",
                )
        return [folder.path / folder.finished_facts()["checkpoint"] for folder in begun]

    def model_files(self) -> ModelFiles:
        """The model that a finished training left, with its tuned inference where there is one.

        Raises:
            ModelError, DataError: as ``checkpoints``.
        """
        tuned = self.inference if self.inference.is_file() else None
        return ModelFiles(tuple(self.checkpoints()), tuned)

    # --- its run ---------------------------------------------------------------------------------

    def write_run_id(self, run_id: str) -> None:
        """Record under which id the run is tracked."""
        write_record(self.path / _RUN, {"run_id": run_id})

    def run_id(self) -> str:
        """The id of the run that left the folder; of the run over all folds where it holds them.

        Raises:
            DataError: no run, or a damaged record of it.
        """
        if not self.has_run:
            raise DataError(
                self.path,
                expected=f"the folder of a run, with {_RUN}",
                found=f"no {_RUN}",
                remedy="give the folder that a training wrote to, or a run id",
            )
        return read_record(self.path / _RUN, ("run_id",))["run_id"]

    def any_run_id(self) -> str:
        """The id of the run, or of its first fold; empty where no record names one.

        Raises:
            DataError: a damaged record.
        """
        if self.has_run:
            return self.run_id()
        with_run = sorted(path.parent for path in self.path.glob(f"fold-*/{_RUN}"))
        return RunFolder(with_run[0]).run_id() if with_run else ""

    def registered(self) -> str:
        """Version and alias under which its model is registered; empty where it is not.

        Raises:
            DataError: a damaged record.
        """
        known = [path for path in (self.path / _FINISHED, self.path / _ENSEMBLE) if path.is_file()]
        return str(read_json(known[0]).get("registered", "")) if known else ""

    # --- what it started from --------------------------------------------------------------------

    def write_initial(self, facts: Mapping[str, str] | None) -> None:
        """Record the model that the training starts from; None starts from random weights."""
        if facts is None:
            (self.path / _INITIAL).unlink(missing_ok=True)
        else:
            write_record(self.path / _INITIAL, facts)

    def initial_facts(self) -> dict[str, str]:
        """Name (``initial``) and checksum of the model it started from; empty without one.

        Raises:
            DataError: the record is damaged.
        """
        path = self.path / _INITIAL
        return read_record(path, ("initial", "initial_sha256")) if path.is_file() else {}

    # --- the ensemble of all folds ---------------------------------------------------------------

    def write_ensemble(self, content: Mapping[str, str], registered: str) -> None:
        """Record under which version the networks of all folds are registered.

        Args:
            content: name of each file of the model to its sha256.
            registered: version and alias.
        """
        text = json.dumps({"registered": registered, "sha256": dict(content)}, indent=2)
        write_text(self.path / _ENSEMBLE, text + "\n")

    def registered_ensemble(self, content: Mapping[str, str]) -> str | None:
        """The version under which these very files are registered; None where they are not.

        Raises:
            DataError: the record is damaged.
        """
        path = self.path / _ENSEMBLE
        if not path.is_file():
            return None
        known = read_json(path)
        return str(known.get("registered")) if known.get("sha256") == dict(content) else None
