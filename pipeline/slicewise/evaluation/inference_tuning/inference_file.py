"""The file of the tuned inference of an ensemble, and its checked reading."""

from __future__ import annotations

from pathlib import Path

import yaml

from slicewise.config import Config, InferenceSection, as_yaml, parse_config
from slicewise.errors import ConfigError, ConfigErrors, file_problem
from slicewise.imaging.files import write_text

INFERENCE = "inference.yaml"
"""Lies in the folder of all folds: how their ensemble makes masks."""
_KEY = "inference"
_HEADER = f"""\
# Tuned on held-out cases; inference_tuning.csv has all that was tried. `slicewise predict` follows
# this file when it is given the folder. As section {_KEY} of a configuration it means the same.
"""


def write_inference(section: InferenceSection, path: Path) -> None:
    """Write the section as it stands in a configuration.

    Raises:
        OutputError: the file cannot be written.
    """
    text = yaml.safe_dump({_KEY: section.model_dump(mode="json")}, sort_keys=False)
    write_text(path, _HEADER + text)


def read_inference(path: Path, config: Config) -> InferenceSection:
    """Read the section for a model.

    Args:
        path: of the file.
        config: of the model, whose structures the section may name.

    Raises:
        ConfigErrors: unreadable, another content, unknown keys or structures; each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = file_problem(error) if isinstance(error, OSError) else "not UTF-8 text"
        raise _foreign(path, problem) from None
    if not any(line.startswith(f"{_KEY}:") for line in text.splitlines()):
        raise _foreign(path, f"no section {_KEY}")
    # The file comes first, so that its lines keep their numbers in messages.
    rest = yaml.safe_load(as_yaml(config))
    del rest[_KEY]
    whole = text.rstrip() + "\n" + yaml.safe_dump(rest, sort_keys=False)
    return parse_config(whole, str(path), trained=True).inference


def _foreign(path: Path, found: str) -> ConfigErrors:
    mistake = ConfigError(
        path,
        expected=f"the section {_KEY}, as `slicewise train --fold all` writes it",
        found=found,
        remedy="restore the file, or remove it to predict without tuned inference",
    )
    return ConfigErrors([mistake])
