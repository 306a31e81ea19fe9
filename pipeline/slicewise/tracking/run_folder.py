"""The folder of a run: every file that a training or a baseline leaves there, read safely."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from slicewise.config import Config
from slicewise.errors import DataError, ModelError
from slicewise.evaluation.inference_tuning.evidence import CaseEvidence, read_evidence
from slicewise.evaluation.inference_tuning.inference_file import INFERENCE, inference_file
from slicewise.evaluation.results import Results, read_results, read_run_config
from slicewise.imaging.files import write_text
from slicewise.imaging.own_files import CHECKSUMS, read_checksums, write_checksums
from slicewise.segmentation.checkpoint import BEST, LAST
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.records import read_record, record_file, record_text, write_record
from slicewise.tracking.run_files import (
    ENSEMBLE,
    FINISHED,
    INITIAL,
    RUN,
    SEALED_FILES,
    RunFiles,
)

_MOST_NAMES = 6
_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class _Ensemble:
    """What ``ensemble.json`` holds: version and alias, and the sha256 of each file by its name."""

    registered: str
    sha256: dict[str, str]


_ENSEMBLE_CONTENT = TypeAdapter(_Ensemble)


@dataclass(frozen=True)
class RunFolder(RunFiles):
    """A folder of a training, of all folds of one, or of a baseline: its state and its content."""

    # --- its folds -------------------------------------------------------------------------------

    def fold(self, number: int) -> RunFolder:
        """The folder of one fold of several."""
        return RunFolder(self.path / f"fold-{number}")

    @property
    def folds(self) -> list[RunFolder]:
        """The folders of folds in which a training has begun."""
        return [RunFolder(path.parent) for path in sorted(self.path.glob(f"fold-*/{LAST}"))]

    def whole(self, number: int) -> RunFolder | None:
        """The folder of all folds that this one, of a fold, belongs to; None if it stands alone."""
        above = RunFolder(self.path.absolute().parent)
        # Folds that other machines have trained are brought together without a run over all.
        is_part = above.fold(number).path == self.path.absolute() and (above.path / RUN).is_file()
        return above if is_part else None

    # --- its state -------------------------------------------------------------------------------

    @property
    def has_training(self) -> bool:
        """Whether a training has saved a checkpoint here."""
        return self.last.exists()

    @property
    def is_finished(self) -> bool:
        """Whether a training came to its end here."""
        return os.path.lexists(self.path / FINISHED)

    @property
    def network(self) -> Path | None:
        """A file that a training left here, or in the folders of folds; None without one."""
        files = [self.last, self.path / FINISHED, *(fold.last for fold in self.folds)]
        return next((path for path in files if path.exists()), None)

    @property
    def has_run(self) -> bool:
        """Whether the folder names the run under which it is tracked."""
        return record_file(self.path / RUN).exists()

    def kept_checkpoint(self, config: Config) -> Path:
        """The checkpoint that a training with this configuration leaves as its model."""
        return self.path / f"{config.training.keep}.pt"

    def finish(self, config: Config, facts: Mapping[str, str]) -> None:
        """Mark the training as finished, which makes the folder a model.

        Args:
            config: of the training.
            facts: ``run`` (its id), ``registered`` and what it started from, as far as known.
        """
        text = record_text({"checkpoint": self.kept_checkpoint(config).name, **facts})
        write_checksums(self.path, SEALED_FILES, {FINISHED: text})
        write_text(self.path / FINISHED, text)

    def finished_facts(self) -> dict[str, str]:
        """What ``finish`` wrote.

        Raises:
            DataError: the record is missing or damaged.
        """
        path = self.path / FINISHED
        if FINISHED not in read_checksums(self.path):
            file = record_file(self.path / CHECKSUMS, "restore the file, or train again")
            raise file.damaged(f"no checksum of {FINISHED}")
        facts = read_record(path, ("checkpoint",))
        if facts["checkpoint"] not in (LAST, BEST):
            raise record_file(path).damaged(f"checkpoint: {facts['checkpoint']!r}")
        return facts

    def seal(self) -> None:
        """List the checksums of the files, which must not change from now on.

        Raises:
            OutputError: the list cannot be written.
        """
        write_checksums(self.path, SEALED_FILES)

    def seal_again(self) -> None:
        """Renew the list of checksums after a file was replaced on purpose.

        Raises:
            OutputError: the list cannot be written.
        """
        write_checksums(self.path, read_checksums(self.path))

    def reopen(self) -> None:
        """Remove the list of checksums, because the files are written again."""
        (self.path / CHECKSUMS).unlink(missing_ok=True)

    def results(self) -> list[Results]:
        """The folds of a run, as ``read_results`` reads them.

        Raises:
            DataError: no run lies there, a file of it is damaged, or a fold is lost.
        """
        self._require_all_folds()
        return read_results(self.path)

    def _require_all_folds(self) -> None:
        """Refuse an ensemble of which a fold was lost: it would be smaller without a word."""
        file = record_file(self.path / ENSEMBLE)
        if not file.exists():
            return
        known = {name.partition("/")[0] for name in file.json(_ENSEMBLE_CONTENT).sha256}
        for name in sorted(known - {INFERENCE}):
            if not (self.path / name).is_dir():
                raise DataError(
                    self.path,
                    expected=f"the folders of all folds that {ENSEMBLE} names",
                    found=f"no folder {name}",
                    remedy="restore it from a copy, or train it again with `resume`",
                )

    def read_config(self) -> Config:
        """The configuration of the run, as ``read_run_config`` reads it."""
        return read_run_config(self.config)

    def read_evidence(self, structures: Collection[str]) -> list[CaseEvidence]:
        """The evidence of held-out cases, as the function of this name reads it."""
        return read_evidence(self.path, structures)

    def checkpoints(self) -> list[Path]:
        """The checkpoints of a finished training: one, or one a fold.

        Raises:
            ModelError: no training lies there, or one that did not come to its end.
            DataError: the record of its end is damaged.
        """
        # A folder of a fold without a checkpoint is an unfinished fold, which must not be left out.
        folds = [RunFolder(path) for path in sorted(self.path.glob("fold-*/"))]
        begun = [self] if self.has_training or self.is_finished else folds
        self._require_all_folds()
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
                    found=f"no {FINISHED}",
                    remedy=f"continue it with `resume`, or give its {LAST} to use it as it is",
                )
        return [folder.path / folder.finished_facts()["checkpoint"] for folder in begun]

    def model_files(self) -> ModelFiles:
        """The model that a finished training left, with its tuned inference where there is one.

        Raises:
            ModelError, DataError: as ``checkpoints``.
        """
        tuned = self.inference if inference_file(self.inference).exists() else None
        return ModelFiles(tuple(self.checkpoints()), tuned)

    # --- its run ---------------------------------------------------------------------------------

    def write_run_id(self, run_id: str) -> None:
        """Record under which id the run is tracked."""
        write_record(self.path / RUN, {"run_id": run_id})

    def run_id(self) -> str:
        """The id of the run that left the folder; of the run over all folds where it holds them.

        Raises:
            DataError: no run, or a damaged record of it.
        """
        if not self.has_run:
            raise DataError(
                self.path,
                expected=f"the folder of a run, with {RUN}",
                found=f"no {RUN}",
                remedy="give the folder that a training wrote to, or a run id",
            )
        run_id = read_record(self.path / RUN, ("run_id",))["run_id"]
        if not _RUN_ID.fullmatch(run_id):
            # It becomes part of a path.
            raise record_file(self.path / RUN).damaged(f"no run id: {run_id!r}")
        return run_id

    def any_run_id(self) -> str:
        """The id of the run, or of its first fold; empty where no record names one.

        Raises:
            DataError: a damaged record.
        """
        if self.has_run:
            return self.run_id()
        with_run = sorted(path.parent for path in self.path.glob(f"fold-*/{RUN}"))
        return RunFolder(with_run[0]).run_id() if with_run else ""

    def registered(self) -> str:
        """Version and alias under which its model is registered; empty where it is not.

        Raises:
            DataError: a damaged record.
        """
        if self.is_finished:
            return self.finished_facts().get("registered", "")
        file = record_file(self.path / ENSEMBLE)
        return file.json(_ENSEMBLE_CONTENT).registered if file.exists() else ""

    # --- what it started from --------------------------------------------------------------------

    def write_initial(self, facts: Mapping[str, str] | None) -> None:
        """Record the model that the training starts from; None starts from random weights."""
        if facts is None:
            (self.path / INITIAL).unlink(missing_ok=True)
        else:
            write_record(self.path / INITIAL, facts)

    def initial_facts(self) -> dict[str, str]:
        """Name (``initial``) and checksum of the model it started from; empty without one.

        Raises:
            DataError: the record is damaged.
        """
        file = record_file(self.path / INITIAL)
        return read_record(file.path, ("initial", "initial_sha256")) if file.exists() else {}

    # --- the ensemble of all folds ---------------------------------------------------------------

    def write_ensemble(self, content: Mapping[str, str], registered: str) -> None:
        """Record under which version the networks of all folds are registered.

        Args:
            content: name of each file of the model to its sha256.
            registered: version and alias.
        """
        text = json.dumps({"registered": registered, "sha256": dict(content)}, indent=2)
        write_text(self.path / ENSEMBLE, text + "\n")

    def registered_ensemble(self, content: Mapping[str, str]) -> str | None:
        """The version under which these very files are registered; None where they are not.

        Raises:
            DataError: the record is damaged.
        """
        file = record_file(self.path / ENSEMBLE)
        if not file.exists():
            return None
        known = file.json(_ENSEMBLE_CONTENT)
        return known.registered if known.sha256 == dict(content) else None
