"""Choices in, one a key, each with its reason; what the user has given stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

GIVEN = "given"


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
    def is_given(self) -> bool:
        """Whether the user chose it."""
        return self.reason == GIVEN


class Draft:
    """A plan in the making: rules choose one value after another, and look at earlier ones.

    Args:
        given: dotted key to the value that the user has set; rules cannot change it.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = dict(given)
        self._choices: dict[str, Choice] = {}

    def choose(self, key: str, value: Any, reason: str) -> None:
        """Plan a value, unless it is given."""
        if key in self.given:
            value, reason = self.given[key], GIVEN
        self._choices[key] = Choice(value, reason)

    def __getitem__(self, key: str) -> Any:
        return self._choices[key].value

    def __iter__(self) -> Iterator[tuple[str, Choice]]:
        return iter(self._choices.items())

    def is_given(self, key: str) -> bool:
        """Whether the user has set a key, or a part of it."""
        return any(name == key or name.startswith(f"{key}.") for name in self.given)

    def values(self) -> dict[str, Any]:
        """Sections with their keys, as a configuration is written."""
        nested: dict[str, Any] = {}
        for key, choice in self:
            section, _, name = key.partition(".")
            if name:
                nested.setdefault(section, {})[name] = choice.value
            else:
                nested[section] = choice.value
        return nested
