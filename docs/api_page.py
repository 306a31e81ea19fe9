"""The page of the Python API, written from the docstrings of the public names."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from sphinx.errors import SphinxError

import slicewise
from slicewise.config.base import Section

_INTRODUCTION = """\
# Python API

```python
import slicewise
```

These names are the public ones; everything else may change without notice. Whatever goes wrong is
raised as a `slicewise.errors.SlicewiseError`, whose message says where, what was expected, what was
found and what to do.
"""
_RESULTS = """\
## Results

What the functions return. Tables are made by pandas when they are asked for.
"""


def api_page() -> str:
    """The page, in Markdown.

    Raises:
        SphinxError: a public name, or a public method of a class, without a docstring.
    """
    parts = [_INTRODUCTION]
    public = {name: getattr(slicewise, name) for name in slicewise.__all__}
    for name, thing in public.items():
        _require_docstrings(name, thing)
        parts.append(_entry(name, _directive(name, thing)))
    parts.append(_RESULTS)
    for result in _results(public.values()):
        _require_docstrings(result.__name__, result)
        place = f"{result.__module__}.{result.__qualname__}"
        parts.append(_entry(result.__name__, f".. autoclass:: {place}()\n   :members:", level=3))
    return "\n".join(parts)


def _entry(name: str, directive: str, level: int = 2) -> str:
    return f"{'#' * level} {name}\n\n```{{eval-rst}}\n{directive}\n```\n"


def _results(public: Iterable[object]) -> list[type]:
    """Classes of what the public functions return, that are not public names themselves."""
    public = list(public)
    returned = [
        thing.__globals__.get(thing.__annotations__["return"])
        for thing in public
        if inspect.isfunction(thing)
    ]
    ours = [
        found
        for found in returned
        if inspect.isclass(found) and found.__module__.startswith("slicewise.")
    ]
    return [found for found in dict.fromkeys(ours) if found not in public]


def _directive(name: str, thing: object) -> str:
    """What has Sphinx write the entry of one name from its docstring."""
    if not inspect.isclass(thing):
        return f".. autofunction:: slicewise.{name}"
    if not issubclass(thing, Section):
        return f".. autoclass:: slicewise.{name}\n   :members:"
    # The page of the configuration has the fields; their signature would fill the screen.
    fields = ", ".join([*thing.model_fields, "model_config"])
    return (
        f".. autoclass:: slicewise.{name}(**sections)\n   :members:\n   :exclude-members: {fields}"
        "\n\n:doc:`configuration` lists its sections and their keys."
    )


def _require_docstrings(name: str, thing: object) -> None:
    if not thing.__doc__:
        raise SphinxError(f"slicewise.{name} has no docstring")
    for member, value in vars(thing).items() if inspect.isclass(thing) else ():
        documented = isinstance(value, property) or inspect.isroutine(value)
        if documented and not member.startswith("_") and not getattr(value, "__doc__", None):
            raise SphinxError(f"slicewise.{name}.{member} has no docstring")
