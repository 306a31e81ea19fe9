"""The page of the Python API, written from the docstrings of the public names."""

from __future__ import annotations

import inspect

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


def api_page() -> str:
    """The page, in Markdown.

    Raises:
        SphinxError: a public name, or a public method of a class, without a docstring.
    """
    parts = [_INTRODUCTION]
    for name in slicewise.__all__:
        thing = getattr(slicewise, name)
        if name.startswith("__"):
            continue
        _require_docstrings(name, thing)
        parts.append(f"## {name}\n\n```{{eval-rst}}\n{_directive(name, thing)}\n```\n")
    return "\n".join(parts)


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
