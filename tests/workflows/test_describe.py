"""The layers of a network, from Python."""

from __future__ import annotations

from pathlib import Path

from slicewise.config import Config
from slicewise.workflows.describe import DescribeOptions, describe


def test_layers_and_figure(tmp_path: Path) -> None:
    network = {"features": [4, 8], "window": [16, 24]}
    config = Config.defaults("small", labels={"a": 1, "b": 2}, network=network)
    found = describe(DescribeOptions(config, work=tmp_path))
    assert found.input_shape == (config.in_channels, 16, 24)
    assert found.table.loc["final_conv", "output_shape"] == (3, 16, 24)
    assert found.figure == tmp_path / "figures" / "small.svg"
    assert found.figure.exists()
    assert found.parameters >= found.table.parameters.sum() > 0
