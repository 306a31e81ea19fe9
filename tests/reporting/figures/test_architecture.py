"""The figure of the U tells channels, sizes and steps as text."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from slicewise.reporting.figures.architecture import draw_architecture
from slicewise.segmentation.architecture import describe_layers
from slicewise.segmentation.unet import UNet


def texts(path: Path) -> list[str]:
    root = ET.parse(path).getroot()
    return ["".join(item.itertext()).strip() for item in root.iter() if item.tag.endswith("}text")]


def test_svg_holds_channels_sizes_and_names_as_text(tmp_path: Path) -> None:
    path = tmp_path / "u.svg"
    draw_architecture(describe_layers(UNet(5, 3, (8, 16)), 45, 62), 5, path)
    found = texts(path)
    assert found.count("8") == 3
    assert found.count("16") == 3
    assert found.count("32") == 1
    assert found.count("5") == 1
    assert found.count("3") == 1
    assert found.count("skip") == found.count("max pool 2") - 1 == 2
    assert found.count("transposed conv") == 2
    expected = {"input", "output", "8 + 8", "16 + 16", "45 x 62", "22 x 31", "11 x 15"}
    assert expected <= set(found)
    assert any(re.search(r"U-Net, [\d,]+ parameters", text) for text in found)


def test_classic_network_names_its_parameters(tmp_path: Path) -> None:
    path = tmp_path / "u.svg"
    draw_architecture(describe_layers(UNet(), 256, 256), 3, path)
    found = texts(path)
    assert "U-Net, 31,037,633 parameters" in found
    assert {"3", "64", "128", "256", "512", "1024", "1", "16 x 16"} <= set(found)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_same_table_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    rows = describe_layers(UNet(1, 1, (4,)), 16, 16)
    settings = dict(mpl.rcParams)
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    draw_architecture(rows, 1, first)
    draw_architecture(rows, 1, second)
    assert first.read_bytes() == second.read_bytes()
    assert dict(mpl.rcParams) == settings


def test_png_is_a_png(tmp_path: Path) -> None:
    path = tmp_path / "u.png"
    draw_architecture(describe_layers(UNet(1, 1, (4, 8, 8)), 16, 16), 1, path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
