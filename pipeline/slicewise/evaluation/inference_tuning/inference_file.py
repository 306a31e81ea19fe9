"""The file of the tuned inference of an ensemble, and its checked reading."""

from __future__ import annotations

from pathlib import Path

import yaml

from slicewise.config import Config, InferenceSection, as_yaml, parse_config
from slicewise.imaging.files import write_text
from slicewise.imaging.own_files import EDITED, OwnFile

INFERENCE = "inference.yaml"
"""Lies in the folder of all folds: how their ensemble makes masks."""
_KEY = "inference"
_HEADER = f"""\
# Tuned on held-out cases; inference_tuning.csv has all that was tried. `slicewise predict` follows
# this file when it is given the folder. As section {_KEY} of a configuration it means the same.
# To change it on purpose, end the file with the line
#   {EDITED}
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
        DataError: the file is damaged, or was changed since it was written.
        ConfigErrors: unknown keys or structures in a file that a person edited, with their lines.
    """
    file = inference_file(path)
    text = file.text()
    if not any(line.startswith(f"{_KEY}:") for line in text.splitlines()):
        raise file.damaged(f"no section {_KEY}")
    # The file comes first, so that its lines keep their numbers in messages.
    rest = yaml.safe_load(as_yaml(config))
    del rest[_KEY]
    whole = text.rstrip() + "\n" + yaml.safe_dump(rest, sort_keys=False)
    return parse_config(whole, str(path), trained=True).inference


def inference_file(path: Path) -> OwnFile:
    """The file of the tuned inference."""
    return OwnFile(
        path,
        f"the section {_KEY}, as `slicewise train --fold all` wrote it",
        "restore the file from a copy, or tune again by `slicewise train --fold all --resume`; if "
        f"you changed it on purpose, end it with the line {EDITED}",
    )
