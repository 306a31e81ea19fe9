"""Networks, losses and augmentations by name: those of Slicewise and of other packages.

A package offers its own through entry points; ``docs/extending.md`` states what each must be.
Those of Slicewise are a table instead, so that they exist where no metadata of the package does,
as in a registered model that brings the package along, and are validated without importing torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from slicewise.config.base import Section
from slicewise.config.mistakes import as_written
from slicewise.config.network_options import MONAI_NETWORKS
from slicewise.errors import ConfigError, did_you_mean

OWN_PACKAGE = "slicewise"
TRAINED = "trained"
"""Key of the validation context: the configuration is of a trained model, which predicts where
its loss and augmentations are not installed, too."""


class NoOptions(Section):
    """No options."""


class UncheckedOptions(Section):
    """Options of an extension that is not installed and not needed."""

    model_config = ConfigDict(extra="allow", frozen=True)


@dataclass(frozen=True)
class Extensions:
    """Registry of one kind of extension.

    Attributes:
        kind: ``network``, ``loss`` or ``augmentation``.
        group: of the entry points of other packages.
        own: names of Slicewise with their sections of options; they cannot be replaced.
    """

    kind: str
    group: str
    own: Mapping[str, type[Section]]

    @property
    def names(self) -> tuple[str, ...]:
        """Installed names."""
        return tuple(sorted({*self.own, *entry_points(group=self.group).names}))

    def is_installed(self, name: str) -> bool:
        """Whether a name is installed."""
        return name in self.own or name in entry_points(group=self.group).names

    def package_of(self, name: str) -> str:
        """Name and version of the distribution of an extension."""
        if name in self.own:
            return OWN_PACKAGE
        distribution = self._entry(name).dist
        return "" if distribution is None else f"{distribution.name} {distribution.version}"

    def require(self, name: str) -> None:
        """Require a name that exactly one installed package provides.

        Raises:
            PydanticCustomError: for a validator.
        """
        if name not in self.own:
            self._entry(name)

    def options(self, name: str, values: Any) -> Section:
        """Validate the options of an extension.

        Args:
            name: of an installed extension.
            values: from YAML; None if there are none.

        Raises:
            ValidationError, PydanticCustomError: for a validator.
        """
        section = self.own[name] if name in self.own else _section_of(self._load(name), name)
        if isinstance(values, BaseModel):
            values = values.model_dump()
        try:
            return section.model_validate({} if values is None else values)
        except ValidationError as error:
            details = [_detail(item, name, section) for item in error.errors()]
            raise ValidationError.from_exception_data(name, details) from None

    def build(self, name: str, options: Section, *arguments: object) -> Any:
        """Call the factory of an extension with its options and further arguments.

        Raises:
            ConfigError: it raised an error.
        """
        try:
            return self._load(name)(options, *arguments)
        except Exception as error:  # Code of other packages may raise anything.
            raise ConfigError(
                f"{self.kind} {name}",
                expected=f"options that {self.package_of(name)} accepts",
                found=f"{str(error) or 'an error without a message'}, with "
                + as_written(options.model_dump()),
                remedy=f"correct the options of the {self.kind}, or ask its maintainer",
            ) from error

    def _entry(self, name: str) -> EntryPoint:
        found = list[EntryPoint](entry_points(group=self.group, name=name))
        if not found:
            raise _refusal(
                f"{_article(self.kind)} that is installed: {', '.join(self.names) or 'none is'}",
                f"'{name}'",
                did_you_mean(name, self.names)
                or f"correct the name, or install the package that offers the {self.kind}",
            )
        if len(found) > 1:
            raise _refusal(
                f"one package that offers the {self.kind} {name}",
                " and ".join(sorted(str(one.dist and one.dist.name) for one in found)),
                "uninstall one of them",
            )
        return found[0]

    def _load(self, name: str) -> Any:
        entry = self._entry(name)
        try:
            return entry.load()
        except Exception as error:  # Code of other packages may raise anything.
            raise _refusal(
                f"{_article(self.kind)} that can be imported",
                f"{entry.value} of {self.package_of(name)}: {error}",
                "repair or reinstall that package",
            ) from error


NETWORKS = Extensions("network", "slicewise.networks", {"unet": NoOptions, **MONAI_NETWORKS})
LOSSES = Extensions("loss", "slicewise.losses", {"dice": NoOptions, "dice_ce": NoOptions})
AUGMENTATIONS = Extensions("augmentation", "slicewise.augmentations", {})


def _section_of(factory: Any, name: str) -> type[Section]:
    """Section in the annotation of the first parameter of a factory."""
    try:
        first = next(iter(inspect.signature(factory, eval_str=True).parameters.values()), None)
        section = None if first is None else first.annotation
    except (NameError, TypeError, ValueError) as error:
        section = error  # An annotation that cannot be evaluated.
    if isinstance(section, type) and issubclass(section, Section):
        return section
    raise _refusal(
        f"the options, the first parameter of {name}, to be a slicewise.config.Section",
        repr(section),
        "correct the package; docs/extending.md shows how",
    )


def _detail(item: Any, name: str, section: type[Section]) -> InitErrorDetails:
    """Detail of a mistake in an option, with the name of the extension."""
    kind, message, context = item["type"], item["msg"], {}
    if kind == "extra_forbidden":
        known = ", ".join(section.model_fields)
        kind, message = "unknown_option", f"an option of {name}: {known or 'it has none'}"
        context = {"found": repr(item["loc"][-1]), "remedy": "correct the name or leave it out"}
    # pydantic formats braces.
    error = PydanticCustomError(kind, message.replace("{", "(").replace("}", ")"), context)
    return InitErrorDetails(type=error, loc=item["loc"], input=item["input"])


def _refusal(expected: str, found: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("extension", expected, {"found": found, "remedy": remedy})


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def within(location: str, error: ValidationError) -> Iterator[InitErrorDetails]:
    """Mistakes of a section with the location of its key."""
    for item in error.errors():
        context = item.get("ctx", {})
        kind = PydanticCustomError(item["type"], item["msg"], context)
        yield InitErrorDetails(type=kind, loc=(location, *item["loc"]), input=item["input"])


def joined(details: Iterable[InitErrorDetails]) -> None:
    """Raise all mistakes together, if there are any."""
    if found := list(details):
        raise ValidationError.from_exception_data("options", found)


def options_of(extensions: Extensions, key: str, values: Any, info: ValidationInfo) -> Section:
    """Options of what another key names; as they are where that name is refused already."""
    if key not in info.data:
        return NoOptions()
    return validated(extensions, info.data[key], values, info)


def validated(extensions: Extensions, name: str, values: Any, info: ValidationInfo) -> Section:
    """Options of a name; unchecked where a trained model does without what it names."""
    if is_spared(extensions, name, info):
        return UncheckedOptions.model_validate({} if values is None else values)
    return extensions.options(name, values)


def is_spared(extensions: Extensions, name: str, info: ValidationInfo) -> bool:
    """Whether a trained model does without what is not installed."""
    is_trained = bool(info.context and info.context.get(TRAINED))
    return is_trained and extensions is not NETWORKS and not extensions.is_installed(name)
