"""The files of a run: their names, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slicewise.evaluation.inference_tuning.evidence import EVIDENCE
from slicewise.evaluation.inference_tuning.inference_file import INFERENCE
from slicewise.evaluation.inference_tuning.tuning import INFERENCE_TUNING
from slicewise.evaluation.results import CONFIG, HISTORY, LOSSES, MASKS, REPORT, RESULTS, SCORES
from slicewise.imaging.own_files import CHECKSUMS
from slicewise.segmentation.checkpoint import BEST, LAST

EXAMPLES = "examples.png"
"""Held-out cases from the worst to the best."""
BASELINE = "baseline.json"
"""What a baseline chose, in words and in figures."""
RUN = "run.json"
"""The id under which the run is tracked."""
FINISHED = "model.json"
"""Only a training that came to its end has it: names the checkpoint that is the model."""
INITIAL = "initial.json"
"""The model that a training started from."""
ENSEMBLE = "ensemble.json"
"""Under which version the networks of all folds are registered together."""
TRAINING_FILES = (
    FINISHED, LAST, BEST, RUN, HISTORY, LOSSES, SCORES, RESULTS, EVIDENCE, INITIAL,
    CHECKSUMS
)  # fmt: skip
"""What a training leaves, but for its folders."""
BASELINE_FILES = (BASELINE, CONFIG, RUN, SCORES, RESULTS, EXAMPLES, CHECKSUMS)
"""What a baseline leaves, but for its folders."""
TRAINING_ENTRIES = (
    *TRAINING_FILES,
    *(CONFIG, EXAMPLES, MASKS, REPORT, INFERENCE, INFERENCE_TUNING, ENSEMBLE),
)
"""All files and folders that a training, or the trainings of all folds, may leave."""
BASELINE_ENTRIES = (*BASELINE_FILES, LOSSES, MASKS, REPORT)
"""All files and folders that a baseline may leave."""
SEALED_FILES = (
    CONFIG, HISTORY, LOSSES, SCORES, RESULTS, EVIDENCE, INFERENCE, INFERENCE_TUNING, BASELINE, RUN,
    INITIAL, ENSEMBLE
)  # fmt: skip
"""Files whose checksums are listed when a run comes to its end; checkpoints contain their own."""


@dataclass(frozen=True)
class RunFiles:
    """Where the files of a run lie.

    Attributes:
        path: of the folder; it need not exist.
    """

    path: Path

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
