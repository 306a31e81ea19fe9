"""A configuration in the making: a value and its reason for each planned key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

OVERRIDDEN = "set by the user"


@dataclass(frozen=True)
class Choice:
    """One planned value.

    Attributes:
        value: as YAML holds it.
        reason: a sentence with the measured figures.
    """

    value: Any
    reason: str

    @property
    def is_overridden(self) -> bool:
        """Whether the user set it."""
        return self.reason == OVERRIDDEN


class Draft:
    """A plan to which rules add one value after another; later rules read earlier values.

    Args:
        overrides: dotted key to the value that the user has set; rules do not change it.
    """

    def __init__(self, overrides: Mapping[str, Any]) -> None:
        self.overrides = dict(overrides)
        self._choices: dict[str, Choice] = {}

    def choose(self, key: str, value: Any, reason: str) -> None:
        """Set a value, unless the user has set it."""
        if key in self.overrides:
            value, reason = self.overrides[key], OVERRIDDEN
        self._choices[key] = Choice(value, reason)

    def __getitem__(self, key: str) -> Any:
        return self._choices[key].value

    def __iter__(self) -> Iterator[tuple[str, Choice]]:
        return iter(self._choices.items())

    def is_overridden(self, key: str) -> bool:
        """Whether the user has set a key or a part of it."""
        return any(name == key or name.startswith(f"{key}.") for name in self.overrides)

    def values(self) -> dict[str, Any]:
        """The values as nested sections, as in a configuration file."""
        nested: dict[str, Any] = {}
        for key, choice in self:
            section, _, name = key.partition(".")
            if name:
                nested.setdefault(section, {})[name] = choice.value
            else:
                nested[section] = choice.value
        return nested
