"""One training of an ablation, in any process, and the record that it came to its end."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from slicewise.config import Config, as_yaml, without_places
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.catalogue import Case
from slicewise.dataset.work_folder import WorkFolder
from slicewise.errors import DataError
from slicewise.evaluation.predict_and_score import predict_and_score
from slicewise.evaluation.results import CONFIG, SCORES, write_run_config
from slicewise.evaluation.scores import write_scores
from slicewise.imaging.files import write_text
from slicewise.imaging.locking import sole_user
from slicewise.imaging.own_files import changed_files, write_checksums
from slicewise.progress import Progress, Task
from slicewise.segmentation.budget import plan_run
from slicewise.segmentation.course import Course
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.training import Training
from slicewise.segmentation.validation import ValidationScore
from slicewise.tracking.records import record_file
from slicewise.tracking.run_folder import RunFolder
from slicewise.workflows.messages import report_set_aside

_FINISHED = "finished.json"


@dataclass(frozen=True)
class Split:
    """The inner fold: its number, the usable cases of both sides, where held-out scans lie."""

    number: int
    train: list[CachedCase]
    held_out: list[CachedCase]
    sources: list[Case]

    def key(self, config: Config) -> str:
        """Stands for a configuration and all the data that its training depends on."""
        cases = [f"{case.name} {case.key}" for case in (*self.train, *self.held_out)]
        known = [as_yaml(without_places(config)), *cases]
        return hashlib.sha256("\n".join(known).encode()).hexdigest()


@dataclass(frozen=True)
class Finished:
    """What ``finished.json`` holds.

    Attributes:
        key: stands for configuration and cases.
        cpu_seconds: of the training; of an ensemble, of all its trainings.
    """

    key: str
    cpu_seconds: float


@dataclass(frozen=True)
class VariantTask:
    """A training that any process can do.

    Attributes:
        config: of the variant, with its seed.
        folder: takes the training.
        split: both sides.
        work: the work folder.
    """

    config: Config
    folder: RunFolder
    split: Split
    work: Path

    @property
    def is_finished(self) -> bool:
        """Whether exactly this training came to its end here before."""
        return is_finished(self.folder, self.split.key(self.config))


def variant_task(config: Config, folder: RunFolder, split: Split, work: Path) -> VariantTask:
    """The training of a configuration; what is held out is scored once, at the end."""
    training = config.training.model_copy(
        update={"validations": 1, "patience": None, "keep": "last"}
    )
    return VariantTask(config.model_copy(update={"training": training}), folder, split, work)


def train_variant(task: VariantTask, progress: Progress) -> None:
    """Train a variant, and score what is held out."""
    folder, split = task.folder, task.split
    with sole_user(folder.path):
        (folder.path / _FINISHED).unlink(missing_ok=True)
        folder.reopen()
        plan = plan_run(task.config, split.train, ())
        write_run_config(plan.config, folder.config)
        if plan.warning:
            progress.message(plan.warning)
        training = plan.start(Training(plan.config, split.train, (), str(split.number)))
        started = time.process_time()
        with progress.task("training", plan.config.training.steps) as shown:
            training.run(folder.path, _StepObserver(shown, training.course))
        write_run_config(training.config, folder.config)
        cpu_seconds = time.process_time() - started
        predictor = Predictor.from_checkpoint(folder.last)
        score_held_out(predictor, split.sources, folder, task.work, progress)
        finish(folder, Finished(split.key(task.config), cpu_seconds))


def score_held_out(
    predictor: Predictor, cases: Sequence[Case], folder: RunFolder, work: Path, progress: Progress
) -> None:
    """Predict what is held out, and write masks and scores into the folder of a training."""
    pseudonyms = WorkFolder(work).pseudonyms
    scored = predict_and_score(predictor, cases, folder.masks, pseudonyms, progress=progress)
    report_set_aside(progress, scored.set_aside)
    write_scores(scored.scores, folder.scores)


def finish(folder: RunFolder, facts: Finished) -> None:
    """Mark a training as finished, with the checksums of what it left."""
    text = json.dumps(asdict(facts)) + "\n"
    write_checksums(folder.path, (CONFIG, SCORES), {_FINISHED: text})
    write_text(folder.path / _FINISHED, text)


def finished(folder: RunFolder) -> Finished:
    """What ``finish`` wrote.

    Raises:
        DataError: nothing, or a damaged record.
    """
    path = folder.path / _FINISHED
    return record_file(path, "remove the file: the training is done again").json(_FINISHED_CONTENT)


def is_finished(folder: RunFolder, key: str) -> bool:
    """Whether the training of this key came to its end here before."""
    try:
        return finished(folder).key == key and not changed_files(folder.path)
    except (DataError, OSError):
        # None yet, or a damaged one: the training is done again.
        return False


_FINISHED_CONTENT = TypeAdapter(Finished)


@dataclass(frozen=True)
class _StepObserver:
    """Follows the steps; an ablation has no tracked run."""

    task: Task
    course: Course

    def on_step(self, step: int, values: dict[str, float]) -> None:
        """Report the step."""
        total = self.course.expected_steps(step)
        self.task.update(step, total=total, detail=f"loss {values['loss']:.3f}")

    def on_validation(self, step: int, score: ValidationScore) -> None:
        """Scores are computed at the end, on the scans' own grids."""
