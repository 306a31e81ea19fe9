"""Names of contrasts and structures in the description files of data sets."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slicewise.config import DataSection
from slicewise.dataset.manifest import COLUMNS
from slicewise.errors import DataError
from slicewise.imaging.tables import read_table
from slicewise.quantities import listed

IGNORE = "ignore"
"""Name of nnU-Net for voxels without annotation."""
_PLAIN_CONTRASTS = ("image",)
_LABELS = 'a name and a whole number, such as "tumour": 1 or "1": "tumour"'
_CHANNELS = 'a number and a name, such as "0": "T1"'


_SILENT = DataSection()


@dataclass(frozen=True)
class Description:
    """Contrasts and structures of a data set.

    Attributes:
        contrasts: in the order of the channels; ``image`` if unknown.
        labels: structure name to value; empty if unknown.
        ignored: value of voxels without annotation, which nnU-Net calls ``ignore``; None without.
        regions: names of structures that consist of several values, which are not read.
    """

    contrasts: tuple[str, ...] = _PLAIN_CONTRASTS
    labels: dict[str, int] = field(default_factory=dict)
    ignored: int | None = None
    regions: tuple[str, ...] = ()


def read_description(root: Path, data: DataSection = _SILENT) -> Description:
    """Read ``dataset.json`` or the manifest of a data set.

    Damaged files are ignored here; the catalogue, which reads the same files, reports them.

    Args:
        root: folder or CSV manifest.
        data: with its layout. Names of contrasts and structures that it gives itself are not
            looked for in the file.

    Raises:
        DataError: an entry that is neither a name nor a value.
    """
    layout = data.layout
    described = root / "dataset.json"
    if layout in ("auto", "decathlon", "nnunet") and described.is_file():
        return _from_json(described, data)
    manifest = root / "dataset.csv" if root.is_dir() else root
    if layout in ("auto", "csv") and manifest.suffix.lower() == ".csv" and manifest.is_file():
        return Description(_contrasts_of(manifest))
    return Description()


def with_description(data: DataSection, description: Description) -> DataSection:
    """Set ``data.contrasts`` to those of the description, unless it is configured."""
    if "contrasts" in data.model_fields_set:
        return data
    return data.model_copy(update={"contrasts": description.contrasts})


def require_none_ignored(
    description: Description, data: DataSection, structures: Mapping[str, Collection[int]]
) -> None:
    """Refuse voxels without annotation, which training would take for a structure.

    Args:
        description: of the data set.
        data: whose labels may name the value on purpose.
        structures: case to the label values that occur in it.

    Raises:
        DataError: such voxels occur.
    """
    cases = [
        name for name, values in structures.items() if holds_ignored(description, data, values)
    ]
    if cases:
        raise DataError(
            f"{data.root}: {listed(cases)}",
            expected="an annotation for every voxel",
            found=f"voxels of the value {description.ignored}, which dataset.json calls {IGNORE}",
            remedy="replace them by 0 or by the values of their structures, or leave these cases "
            "out; to learn the value as a structure, name it in data.labels",
        )


def holds_ignored(description: Description, data: DataSection, values: Collection[int]) -> bool:
    """Whether a label map with these values has voxels without annotation."""
    ignored = description.ignored
    return ignored in values and ignored not in data.labels.values()


def _from_json(path: Path, data: DataSection) -> Description:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return Description()
    if not isinstance(content, dict):
        return Description()
    key = "channel_names" if "channel_names" in content else "modality"
    channels, labels = content.get(key), content.get("labels", {})
    if not data.labels:
        _require_labels(path, labels)
    if "contrasts" not in data.model_fields_set:
        _require_numbered(path, key, channels)
    labels = labels if isinstance(labels, dict) else {}
    values = _named_values(labels)
    ignored = values.pop(IGNORE, None)
    return Description(
        _in_order(channels) if isinstance(channels, dict) else _PLAIN_CONTRASTS,
        values,
        ignored,
        tuple(_plain(str(name)) for name, value in labels.items() if isinstance(value, list)),
    )


def _require_labels(path: Path, labels: object) -> None:
    """Refuse entries that would be left out, so that their structure had no name."""
    if not isinstance(labels, dict):
        raise _unusable(f"{path}: labels", labels, _LABELS)
    taken: dict[str, str] = {}
    for key, item in labels.items():
        where = f"{path}: labels.{key}"
        value, name = _value_and_name(key, item)
        values = item if isinstance(item, list) else [value]
        if not values or not name or not all(map(_is_value, values)):
            raise _unusable(where, item, _LABELS)
        # A region shares the values of others.
        for one in [f"name {name}"] + ([] if values is item else [f"value {value}"]):
            if one in taken:
                raise DataError(
                    where,
                    expected="a name and a value of its own for each structure",
                    found=f"the {one} of labels.{taken[one]}",
                    remedy="correct one of the two",
                )
            taken[one] = key


def _require_numbered(path: Path, key: str, channels: object) -> None:
    """Refuse channels without a number, which would be left out."""
    if isinstance(channels, dict):
        for number, name in channels.items():
            if not number.isdecimal():
                raise _unusable(f"{path}: {key}.{number}", name, _CHANNELS)


def _unusable(where: str, found: object, expected: str) -> DataError:
    return DataError(where, expected=expected, found=json.dumps(found), remedy="correct the entry")


def _in_order(channels: Mapping[str, Any]) -> tuple[str, ...]:
    """Names in the order of the channels; duplicate names get the number as a suffix."""
    numbered = sorted(
        (int(number), _plain(str(name)))
        for number, name in channels.items()
        if str(number).isdigit()
    )
    names = [name for _, name in numbered]
    unique = [
        name if name and names.count(name) == 1 else f"{name or 'image'}_{number}"
        for number, name in numbered
    ]
    return tuple(unique) or _PLAIN_CONTRASTS


def _named_values(labels: Mapping[str, Any]) -> dict[str, int]:
    """Label values by name, from both formats: of the Decathlon and of nnU-Net."""
    values: dict[str, int] = {}
    for key, item in labels.items():
        value, name = _value_and_name(key, item)
        # Regions of several values are ignored.
        plain = IGNORE if name.casefold() == IGNORE else name
        if _is_value(value) and int(str(value)) > 0 and plain:
            values.setdefault(plain, int(str(value)))
    return values


def _value_and_name(key: str, item: object) -> tuple[object, str]:
    """A label of the Decathlon, ``"1": "tumour"``, or of nnU-Net, ``"tumour": 1``."""
    is_decathlon = isinstance(item, str) and (_is_value(key) or not _is_value(item))
    value, name = (key, item) if is_decathlon else (item, key)
    return value, _plain(str(name))


def _is_value(value: object) -> bool:
    """Whether it is a whole number; true and false are none, though Python takes them for some."""
    text = isinstance(value, int | str) and not isinstance(value, bool) and str(value)
    return bool(text) and str(text).isascii() and str(text).isdecimal()


def _plain(name: str) -> str:
    """A name that is safe in tables, file names and as a key."""
    return re.sub(r"[^\w. +-]", "_", name).strip()


def _contrasts_of(manifest: Path) -> tuple[str, ...]:
    """Values of the column ``contrast``, in the order of the rows."""
    try:
        rows = read_table(manifest, COLUMNS).rows
    except DataError:
        return _PLAIN_CONTRASTS
    named = dict.fromkeys(row.cells["contrast"] for row in rows if row.cells.get("contrast"))
    return tuple(named) or _PLAIN_CONTRASTS
