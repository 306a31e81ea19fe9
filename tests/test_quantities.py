"""Counts and volumes as people read them."""

from __future__ import annotations

import math

import pytest

from slicewise.quantities import counted, data_size, figure, listed, millilitres


@pytest.mark.parametrize(
    ("volume_ml", "expected"),
    [
        (0, "0"),
        (1e-9, "<0.001"),
        (-1e-9, "-<0.001"),
        (0.0012, "0.001"),
        (0.5, "0.5"),
        (12.345, "12.3"),
        (999.4, "999"),
        (999.6, "1,000"),
        (1020.3, "1,020"),
        (-1_234_567.8, "-1,234,568"),
        (math.nan, "-"),
    ],
)
def test_volumes_have_no_exponent(volume_ml: float, expected: str) -> None:
    assert millilitres(volume_ml) == expected


def test_differences_show_their_sign() -> None:
    assert [millilitres(value, signed=True) for value in (1500, 0.25, 0, -3)] == [
        "+1,500", "+0.25", "0", "-3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(0, "0 bytes"), (3120, "3,120 bytes"), (12_480_000, "12.5 MB"), (4e12, "4,000.0 GB")],
)
def test_sizes_of_data(size_bytes: float, expected: str) -> None:
    assert data_size(size_bytes) == expected


def test_one_is_singular() -> None:
    assert [counted(number, "case") for number in (0, 1, 2)] == ["0 cases", "1 case", "2 cases"]


def test_an_undefined_figure_is_a_dash() -> None:
    assert figure(0.51239) == "0.5124"
    assert figure(math.nan) == "-"


def test_a_list_of_names() -> None:
    assert listed("abc", most=3) == "a, b, c"
    assert listed("abcd", most=3) == "a, b, c and 1 more"
    assert listed("abc", most=2, of=1000, separator="; ") == "a; b and 998 more"
