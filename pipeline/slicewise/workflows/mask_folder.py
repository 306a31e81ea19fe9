"""The place that predictions go to: what may be written there, and its table of confidences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from slicewise.dataset.catalogue import Images
from slicewise.dataset.layouts import data_sets_around
from slicewise.dataset.mask_sources import add_sources, read_sources
from slicewise.errors import OutputError
from slicewise.evaluation.confidence_table import read_confidences, write_confidences
from slicewise.file_names import is_short_name, require_short_name
from slicewise.imaging.mark import PREDICT, Writer, made_by_others, record_of, some_of
from slicewise.imaging.masks import (
    MaskOutput,
    confidence_path,
    is_named_file,
    probabilities_path,
    uncertainty_path,
)
from slicewise.imaging.scan import path_of
from slicewise.imaging.target import Target
from slicewise.segmentation.confidence import StructureConfidence
from slicewise.segmentation.unlikeness import Unlikeness

Confidences = dict[str, tuple[StructureConfidence, ...]]


@dataclass
class MaskFolder:
    """Where the masks of one prediction go: a folder, or a single file.

    Attributes:
        out: as it was given.
        output: format of the masks.
        scans: name to the sources of each.
        made_by: the model.
        overwrite: replace files of others, and the masks of another model.
        probabilities: whether their maps are written.
        uncertainty: whether its maps are written.
        record: of which mask came from which scan, which may name patients.
    """

    out: Path
    output: MaskOutput
    scans: Mapping[str, Images]
    made_by: str
    overwrite: bool
    probabilities: bool
    uncertainty: bool
    record: Path
    confidences: Confidences = field(default_factory=dict)
    unlikeness: dict[str, Unlikeness] = field(default_factory=dict)

    def __post_init__(self) -> None:
        firsts = {name: sources[0] for name, sources in self.scans.items()}
        self.targets = self.output.targets(firsts, self.out)
        self.table = confidence_path(self.out, wanted=self.uncertainty)
        self._writer = Writer(PREDICT, self.made_by)

    @contextmanager
    def writing(self, source: Path) -> Iterator[None]:
        """Hold the place, and mark what is written there; refuse to replace files of others first.

        Args:
            source: that was given as input.

        Raises:
            OutputError: a file of others or of another model, or another process.
        """
        target = Target(self._writer, overwrite=self.overwrite, inputs=self._inputs(source))
        is_file = is_named_file(self.out)
        folder = self.out.parent if is_file else self.out
        target.claim(self._files())
        self._require_same_scans()
        others = self._masks_of_others(folder, is_file=is_file)
        with target.writing(None if is_file else folder):
            # The table first: without it, masks are only less well known.
            for path in sorted(others, key=lambda path: path.suffix != ".csv"):
                path.unlink(missing_ok=True)
            self._read_table()
            add_sources(self.record, self._by_path())
            self.output.write_labels(self.out)
            yield

    def require_writable(self, name: str) -> None:
        """Require that the files of a scan can have their names, before it is predicted.

        Raises:
            ScanError: one of them is too long.
        """
        for path in self.files_of(name):
            require_short_name(path)

    def add(
        self, name: str, confidences: Sequence[StructureConfidence], unlikeness: Unlikeness
    ) -> None:
        """Add what is known of a mask that has been written to the table next to it.

        Raises:
            OutputError: it cannot be written.
        """
        self.confidences[name], self.unlikeness[name] = tuple(confidences), unlikeness
        if self.table is not None:
            write_confidences(self.confidences, self.unlikeness, self.table)

    def _inputs(self, source: Path) -> list[Path]:
        read = (path_of(item) for sources in self.scans.values() for item in sources if item)
        return [source, *data_sets_around(source, self.out), *read]

    def _files(self) -> Iterator[Path]:
        for name in self.targets:
            yield from filter(is_short_name, self.files_of(name))
        for path in (self.table, self.output.label_table(self.out)):
            if path is not None:
                yield path

    def files_of(self, name: str) -> Iterator[Path]:
        """Files that are written for a scan."""
        target = self.targets[name]
        yield target
        if self.probabilities:
            yield probabilities_path(target)
        if self.uncertainty:
            yield uncertainty_path(target)

    def _masks_of_others(self, folder: Path, *, is_file: bool) -> list[Path]:
        """What another model has left in the folder, all of which goes."""
        others = made_by_others(folder, self._writer)
        if is_file:
            # Single files of many models may lie side by side; a table holds those of one together.
            if not others or not (folder / "confidence.csv").exists():
                return []
        elif self.overwrite or not others:
            return others
        record = record_of(others[0])
        raise OutputError(
            f"`out` {self.out}",
            expected=f"a folder without masks of other models than {self.made_by}",
            found=f"{some_of(others)}, of {record.made_by if record else 'another'}",
            remedy="choose another `out`"
            + ("" if is_file else ", or remove all of them and write anew with `overwrite`"),
        )

    def _read_table(self) -> None:
        """Keep the rows of earlier masks of this model that are there as they were written."""
        if self.table is None or record_of(self.table) is None:
            return
        confidences, unlikeness = read_confidences(self.table)
        for name, found in confidences.items():
            if name not in self.targets and self._is_there(name):
                self.confidences[name], self.unlikeness[name] = found, unlikeness[name]

    def _is_there(self, name: str) -> bool:
        paths = (self.out / f"{name}{suffix}" for suffix in self.output.suffixes)
        records = [record_of(path) for path in paths]
        return any(record and record.made_by == self.made_by for record in records)

    def _require_same_scans(self) -> None:
        """Refuse the masks of other scans that have the same names."""
        known, now = read_sources(self.record), self._by_path()
        strangers = [
            path
            for path, images in now.items()
            if path.exists() and known.get(path.resolve(), _places(images)) != _places(images)
        ]
        if strangers and not self.overwrite:
            raise OutputError(
                f"`out` {self.out}",
                expected="masks of the same scans",
                found=f"{some_of(strangers)}, of other scans with the same names",
                remedy="choose another `out`, or replace them with `overwrite`",
            )

    def _by_path(self) -> dict[Path, Images]:
        return {
            path: self.scans[name] for name, path in self.targets.items() if is_short_name(path)
        }


def _places(images: Images) -> tuple[Path, ...]:
    return tuple(path_of(item).resolve() for item in images if item is not None)
