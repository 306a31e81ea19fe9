"""Writes the table of bad inputs, their outcomes and their tests from the fault markers.

python tests/faults_table.py      writes tests/FAULTS.md
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
TABLE = TESTS / "FAULTS.md"
OUTCOMES = {
    "OK": "exact result",
    "W": "continues with a warning",
    "S": "split into separate volumes",
    "Q": "set aside, with file, tag, reason and remedy; the rest is processed, exit code 8",
    "E": "stops with an error that names file, key and remedy",
}
CASES = {
    "Series geometry": {
        1: ("InstanceNumber shuffled", "OK"),
        2: ("InstanceNumber absent", "OK"),
        3: ("missing slice in the middle", "Q"),
        4: ("missing slice at the end, where instance numbers show it", "W"),
        5: ("duplicate slice with the same pixels", "W"),
        6: ("duplicate position with other pixels", "Q"),
        7: ("slice spacing varies by more than 1 %; resampled on request", "Q"),
        8: ("slice spacing varies by 1 % or less", "OK"),
        9: ("gantry tilt or shear; resampled on request", "Q"),
        10: ("localizer in the series", "S"),
        11: ("two echoes", "S"),
        12: ("dynamic phases", "S"),
        13: ("magnitude and phase", "S"),
        14: ("different frame-of-reference UIDs, positions on one grid", "W"),
        15: ("no ImagePositionPatient", "Q"),
        16: ("orientation not orthonormal", "Q"),
        17: ("decimal strings longer than 16 characters", "OK"),
        18: ("no PixelSpacing", "Q"),
        19: ("PixelSpacing zero or negative", "Q"),
        20: ("NaN or Inf in a decimal string", "Q"),
        21: ("one slice of another size", "Q"),
        22: ("a single slice", "W"),
        23: ("Siemens mosaic", "OK"),
        24: ("enhanced multi-frame; set aside if its frames do not form a regular grid", "OK"),
        25: ("anisotropic pixels", "OK"),
        26: ("sagittal, coronal, double oblique", "OK"),
    },
    "Pixels": {
        27: ("rescale slope per slice", "OK"),
        28: ("Philips private scaling", "W"),
        29: ("MONOCHROME1", "W"),
        30: ("signed data", "OK"),
        31: ("stray bits above BitsStored", "OK"),
        32: ("every lossless transfer syntax", "OK"),
        33: ("lossy compression", "W"),
        34: ("missing decoder", "E"),
        35: ("truncated pixel data", "Q"),
        36: ("RGB or palette colour", "Q"),
        37: ("overlay in the high bits", "OK"),
        38: ("slice or volume of zero variance", "W"),
        39: ("NaN or Inf voxels; filled on request", "Q"),
        40: ("padding in every pixel", "Q"),
    },
    "NIfTI and labels": {
        41: ("sform and qform differ by more than 0.1 mm; an option chooses", "Q"),
        42: ("sform_code and qform_code both 0", "W"),
        43: ("sform of zeros or NaN with sform_code above 0", "Q"),
        44: ("slightly skewed axes; corrected", "W"),
        45: ("scl_slope NaN, 0 or Inf", "W"),
        46: ("int64 labels", "OK"),
        47: ("labels within 1e-3 of integers", "W"),
        48: ("label 0.5", "Q"),
        49: ("labels {0, 2, 5}; an error if the configuration does not name them", "OK"),
        50: ("empty label", "W"),
        51: ("image and label affine differ by up to 1 % of a voxel", "OK"),
        52: ("image and label affine differ by more", "Q"),
        53: ("same shape, flipped orientation", "OK"),
        54: ("4D with several volumes; one volume is an ordinary scan", "S"),
        55: ("complex data", "Q"),
        56: ("truncated gz", "Q"),
        57: ("bit flip, bad CRC", "Q"),
        58: ("empty file, or uncompressed data named .gz", "Q"),
        59: ("implausible dimensions", "Q"),
        60: ("image without label, label without image; W with --allow-unpaired", "E"),
    },
    "Faults during a run": {
        76: ("MLflow unavailable, or its database locked", "OK"),
        77: ("killed run, marked at the next start", "W"),
    },
    "Attacks and privacy": {
        80: ("deflate bomb", "Q"),
        81: ("gzip bomb as NIfTI", "Q"),
        82: ("RLE header with 65535 x 65535", "Q"),
        83: ("sequences nested 300 and 20,000 deep", "Q"),
        84: ("NumberOfFrames 2^31-1", "Q"),
        85: ("file that crashes the decoder", "Q"),
        86: ("../ or NUL in names and descriptions", "OK"),
        87: ("DICOMDIR that refers to files outside of the folder", "OK"),
        93: ("executable preamble", "W"),
        94: ("service called with a foreign Host or Origin", "E"),
        95: ("identifying tokens planted in headers: none in files meant to be shared", "OK"),
        96: ("exported SEG: no error from dciodvfy that the source does not have", "OK"),
    },
}

Covering = dict[int, list[str]]


def covering_tests() -> tuple[Covering, list[str]]:
    """Tests by the number of the fault whose outcome they assert; and markers that contradict."""
    outcomes = {number: case[1] for cases in CASES.values() for number, case in cases.items()}
    tests: Covering = defaultdict(list)
    contradictions = []
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, number, outcome in _markers(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(TESTS)}::{name}"
            if where not in tests[number]:
                tests[number].append(where)
            # A case may have a second outcome that its text names: on request, with an option.
            if number in outcomes and outcome not in OUTCOMES:
                contradictions.append(f"{where}: outcome {outcome}")
    return tests, contradictions


def _markers(tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == (
                "pytest.mark.fault"
            ):
                number, outcome = (ast.literal_eval(argument) for argument in decorator.args)
                yield node.name, number, outcome


def table() -> str:
    """The table as Markdown."""
    tests, _ = covering_tests()
    lines = [
        "# Bad inputs and faults",
        "",
        "Bad inputs and faults, how each is handled, and the tests that verify it. "
        "Generated by `make faults`.",
        "",
        *(f"- **{letter}**: {meaning}" for letter, meaning in OUTCOMES.items()),
    ]
    for group, cases in CASES.items():
        lines += ["", f"## {group}", "", "| | case | outcome | test |", "|---|---|---|---|"]
        for number, (text, outcome) in cases.items():
            names = "<br>".join(f"`{name}`" for name in tests.get(number, []))
            lines.append(f"| {number} | {text} | {outcome} | {names} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
