"""The search space of a sweep: which keys vary, and between which values."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from slicewise.config.loading import lines_of, parse_as, read_yaml
from slicewise.config.mistakes import in_words
from slicewise.config.sections import Config
from slicewise.config.sweep_sections import ParameterSection, SweepSection
from slicewise.errors import ConfigError, ConfigErrors

_EXAMPLE = "configs/sweeps/hippocampus.yaml"
_MAY_VARY = ("network", "training", "augmentation", "inference")
_SAME_FOR_ALL = {
    "training.steps": "all trials have the same budget",
    "training.epochs": "all trials have the same budget",
    "training.budget_minutes": "all trials have the same budget",
    "training.validations": "trials are compared validation by validation",
    "training.patience": "trials are compared validation by validation",
    "training.keep": "the last validation of a trial counts",
    "training.device": "it does not change the model",
    "inference.temperature": "it changes no mask",
    "inference.slice_exclusive": "it is not used in validation",
    "inference.postprocessing": "it is not used in validation",
    "inference.dice_prediction": "it changes no mask",
}

Kind = Literal["int", "float", "other"]


@dataclass(frozen=True)
class Space:
    """What trials draw from.

    Attributes:
        sweep: section of the file.
        kinds: key to the kind of values that its field holds.
    """

    sweep: SweepSection
    kinds: Mapping[str, Kind]

    def extremes(self, key: str) -> list[Any]:
        """Both ends of the range of a key, or all of its choices."""
        return _extremes(key, self.sweep.parameters[key])


def load_space(path: Path, config: Config) -> Space:
    """Read a sweep and check it against the configuration that its trials change.

    Raises:
        ConfigErrors: all mistakes of the file, keys that must not vary, and values that the
            configuration refuses. Values that are refused in some combinations only are reported
            when a trial draws them.
    """
    text = read_yaml(path, _EXAMPLE)
    sweep = parse_as(SweepSection, text, str(path), _EXAMPLE)
    lines = lines_of(text)
    mistakes: list[ConfigError] = []
    kinds: dict[str, Kind] = {}
    for key, parameter in sweep.parameters.items():
        where = f"{path}:{lines['parameters', key]}: {key}"
        found = _key_mistake(key, parameter, where)
        if found is None:
            kinds[key] = _kind(key)
        else:
            mistakes.append(found)
    if not mistakes:
        for key in kinds:
            where = f"{path}:{lines['parameters', key]}: {key}"
            mistakes.extend(_refused(key, sweep.parameters, config, where))
    if mistakes:
        raise ConfigErrors(mistakes)
    return Space(sweep, kinds)


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """The configuration of one trial.

    Raises:
        ConfigErrors: the configuration refuses these values together.
    """
    details = _details(config, values)
    if details:
        raise ConfigErrors([_mistake(detail, values) for detail in details])
    return Config.model_validate(_content(config, values))


def _details(config: Config, values: Mapping[str, Any]) -> Sequence[Any]:
    """What pydantic refuses of some values."""
    try:
        Config.model_validate(_content(config, values))
    except ValidationError as error:
        return error.errors()
    return ()


def _content(config: Config, values: Mapping[str, Any]) -> dict[str, Any]:
    content = config.model_dump(mode="json")
    for key, value in values.items():
        section, name = key.split(".")
        content[section][name] = value
    return content


def _mistake(detail: Any, values: Mapping[str, Any]) -> ConfigError:
    return ConfigError(
        ".".join(map(str, detail["loc"])) or "the configuration",
        expected=in_words(detail),
        found=", ".join(f"{key}={value}" for key, value in values.items()),
        remedy="leave such values out of the sweep",
    )


def _key_mistake(key: str, parameter: ParameterSection, where: str) -> ConfigError | None:
    section, _, name = key.partition(".")
    reason = _SAME_FOR_ALL.get(key)
    if section in Config.model_fields and section not in _MAY_VARY:
        reason = "it may move cases between folds, or change what is scored"
    if reason is not None:
        return ConfigError(
            where,
            expected="a key that may differ between trials",
            found=f"{key}: {reason}",
            remedy="leave it out, or set it in the configuration, for all trials",
        )
    fields = _fields(section)
    if name not in fields:
        return ConfigError(
            where,
            expected=f"a key of {', '.join(_MAY_VARY)}, such as training.learning_rate",
            found=key,
            remedy=f"the keys of {section} are {', '.join(fields)}"
            if fields
            else "see configs/template.yaml",
        )
    return _number_mistake(_kind(key), parameter, where)


def _number_mistake(kind: Kind, parameter: ParameterSection, where: str) -> ConfigError | None:
    if parameter.choices is not None:
        return None
    numbers = [parameter.low, parameter.high, parameter.step]
    known = [number for number in numbers if number is not None]
    if kind == "float" or (kind == "int" and all(number.is_integer() for number in known)):
        return None
    return ConfigError(
        where,
        expected="whole numbers"
        if kind == "int"
        else "choices: the value of this key is not a number",
        found=", ".join(f"{number:g}" for number in known),
        remedy="correct the values",
    )


def _refused(
    key: str, parameters: Mapping[str, ParameterSection], config: Config, where: str
) -> Iterator[ConfigError]:
    """Values of one key that no trial could take.

    Each is tried alone. What keys of a section refuse together is left to the trials where
    another key of the section varies, too.
    """
    section = key.partition(".")[0]
    others_vary = any(name != key and name.startswith(f"{section}.") for name in parameters)
    for value in _extremes(key, parameters[key]):
        details = [
            detail
            for detail in _details(config, {key: value})
            if not (others_vary and detail["type"] == "value_error")
        ]
        if details:
            yield ConfigError(
                where,
                expected=in_words(details[0]),
                found=repr(value),
                remedy="correct the values",
            )


def _extremes(key: str, parameter: ParameterSection) -> list[Any]:
    if parameter.choices is not None:
        return list(parameter.choices)
    ends = [end for end in (parameter.low, parameter.high) if end is not None]
    return [int(end) for end in ends] if _kind(key) == "int" else ends


def _fields(section: str) -> dict[str, Any]:
    field = Config.model_fields.get(section)
    annotation = None if field is None else field.annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return dict(annotation.model_fields)
    return {}


def _kind(key: str) -> Kind:
    """Kind of the values of a field, apart from null."""
    section, name = key.split(".")
    leaves = set(_leaves(_fields(section)[name].annotation)) - {type(None)}
    if leaves == {int}:
        return "int"
    return "float" if leaves == {float} else "other"


def _leaves(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _leaves(part)
    elif get_origin(annotation) is Annotated:
        yield from _leaves(get_args(annotation)[0])
    else:
        yield annotation
