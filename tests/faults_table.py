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
    "Data sets": {
        61: ("one patient in training and validation", "E"),
        62: ("same voxels under two names", "E"),
        63: ("variants of a patient id are merged; one id for all scans is an error", "W"),
        64: ("a source file has changed before a training is resumed", "E"),
        65: ("preprocessing has changed before a training is resumed: the cache is rebuilt", "OK"),
        66: ("one bad scan among many", "Q"),
        67: ("folder that cannot be read, broken link, loop of links", "Q"),
        68: ("names with spaces, Unicode or 255 bytes", "OK"),
        69: ("read-only input is never written", "OK"),
    },
    "Faults during a run": {
        70: ("killed while writing the slice cache", "OK"),
        71: ("killed while writing a checkpoint", "OK"),
        72: ("killed while writing a prediction", "OK"),
        73: ("full disk, at each stage", "E"),
        74: ("a worker process is killed: tried again, then set aside", "Q"),
        75: ("flipped bit in a checkpoint; the previous one is offered", "E"),
        76: ("MLflow unavailable, or its database locked", "OK"),
        77: ("killed run, marked at the next start", "W"),
        78: ("two processes on one output folder", "E"),
        79: ("SIGTERM: state saved, exit code 143", "E"),
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
        88: ("archive member with ../, an absolute path or a link", "E"),
        89: ("zip bomb", "E"),
        90: ("malicious checkpoint or pickled model", "E"),
        91: ("YAML with !!python/object", "E"),
        92: ("configuration with _target_ or $", "E"),
        93: ("executable preamble", "W"),
        94: ("service called with a foreign Host or Origin", "E"),
        95: ("identifying tokens planted in headers: none in files meant to be shared", "OK"),
        96: ("exported SEG: no error from dciodvfy that the source does not have", "OK"),
    },
    "Files of others": {
        97: ("output that would replace a file of others; W with --overwrite", "E"),
        98: ("manifest with a case name that is no file name", "E"),
        99: ("imported package with an id or a name that is no file name", "E"),
    },
    "Wrong in silence": {
        100: ("weights or probabilities that are no numbers", "E"),
        101: ("flipped bit in the slice cache; the entry is rebuilt", "W"),
        102: ("inference.yaml or config.yaml of a run changed or cut", "E"),
        103: ("masks of two models in one folder", "E"),
        104: ("the same scan in two formats, or with another label", "E"),
        105: ("merged patient ids are named", "W"),
    },
    "Budgets and signals": {
        106: ("a training budget while other work comes and goes", "OK"),
        107: ("SIGTERM outside of training steps", "E"),
        108: ("SIGHUP, as SIGTERM", "E"),
    },
    "Memory and processes": {
        109: ("a scan that does not fit into memory; E in training", "Q"),
        110: ("a worker process is killed while it starts", "E"),
        111: ("implausible numbers in a configuration or a checkpoint", "E"),
    },
    "Tracking": {
        112: ("tracking store locked, damaged, of another schema or on a full disk", "W"),
        113: ("killed after the last checkpoint and resumed: no step twice", "OK"),
        114: ("killed during registration: one version", "OK"),
        115: ("killed before the first checkpoint, then resumed", "E"),
        116: ("run left RUNNING by a full disk or a signal: marked", "OK"),
        117: ("work path with %20, &, ; or a letter outside of ASCII", "OK"),
    },
    "Service": {
        118: ("too many voxels, slow bodies, special files, broken Host headers", "E"),
    },
    "Damaged files of a run": {
        119: ("damaged file of a run or of an imported package", "E"),
        120: ("full disk: path, bytes needed, no .part files left behind", "E"),
    },
    "Data sets of others": {
        121: ("patient folders that are links: followed once", "OK"),
        122: ("nnU-Net version 1 raw data set", "OK"),
        123: ("label called ignore in dataset.json: no structure", "OK"),
        124: ("labels in derivatives/ of a BIDS data set", "OK"),
        125: ("enhanced MR with interlocking stacks", "OK"),
        126: ("repeated SOPInstanceUIDs in two folders", "OK"),
        127: ("file names that are not UTF-8", "OK"),
        128: ("NIfTI in micrometres or metres", "OK"),
        129: ("DICOM without preamble and suffix", "OK"),
        130: ("labels in a format that is not read", "E"),
        131: ("one-hot 4D labels", "E"),
        132: ("CSV with semicolons, tabs or UTF-16", "OK"),
        133: ("a file in another format than its suffix says", "Q"),
    },
    "Scans and answers": {
        134: ("a scan unlike those of the training", "W"),
        135: ("label maps among the scans, or no label at all", "E"),
        136: ("labels on every fifth slice", "W"),
        137: ("masks named by other cases than the labels", "OK"),
        138: ("no terminal: a line of progress at least every 30 seconds", "OK"),
        139: ("twins among the scans", "W"),
        140: ("images of unknown spacing: pixels, one warning", "W"),
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
