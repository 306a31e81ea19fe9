"""What a model card says, and what it keeps to itself."""

from __future__ import annotations

from dataclasses import replace

from slicewise.config import parse_config
from slicewise.evaluation.results import RunFacts
from slicewise.evaluation.scores import Score
from slicewise.tracking.model_card import model_card

CONFIG = """
name: toy
data: {root: /private/place, contrasts: [T1, FLAIR], labels: {core: 3, rim: 7}, licence: CC0}
training: {steps: 40}
"""
FOLD = RunFacts(
    *("toy", "network", 0, "by patient", 20, 15, 300, 8, 6, 0, {"x": "bad"}, 90.0),
    *("0.1.0", "2026-11-22"),
)


def score(case: str, dice: float, structure: str = "core") -> Score:
    return Score(case, case, structure, "detected", dice, dice, 1, 1, 1.5, 1, 0.9, 1, 1)


def test_card_of_one_fold() -> None:
    config = parse_config(CONFIG, "toy.yaml")
    scores = [score("a", 0.8), score("b", 0.9), score("a", 0.6, "rim"), score("b", 0.7, "rim")]
    text = model_card(config, [FOLD], scores)
    assert text.startswith("# toy\n")
    assert "20 cases of 15 patients; 8 cases of 6 patients were held out" in text
    assert "Licence of the data: CC0." in text
    assert "with the values 3 core, 7 rim." in text
    assert "40 steps of 32 slices, 1.5 minutes in total" in text
    assert "| core | 0.8500 [0.8000, 0.9000] | 1.50 [1.50, 1.50] |" in text
    assert "| mean | 0.7500 [" in text
    assert "Cases excluded as unusable: 1." in text
    assert "Not a medical device" in text
    assert "/private" not in text
    assert "biased" not in text


def test_a_card_says_what_the_scans_looked_like() -> None:
    config = parse_config(CONFIG, "toy.yaml")
    looks = {"modality": "MR", "voxel spacing": "left to right 1 mm"}
    folds = [replace(FOLD, scans=looks, unlike={"jane": "echo time 98 ms"}), replace(FOLD, fold=1)]
    text = model_card(config, folds, [score("a", 0.8)])
    assert "- Modality: MR.\n- Voxel spacing: left to right 1 mm.\n" in text
    assert "Unlike all others: 1 of 16 held-out cases." in text
    assert "jane" not in text


def test_card_of_a_cross_validation_that_shares_patients() -> None:
    config = parse_config(CONFIG.replace(", licence: CC0", ""), "toy.yaml")
    folds = [replace(FOLD, fold=number, shared_patients=2) for number in range(3)]
    text = model_card(config, folds, [score("a", 0.8)])
    assert "An ensemble of 3 networks, one per fold; each of the 24 cases was held out" in text
    assert "Licence of the data: not stated." in text
    assert "6 patients were on both sides of a fold: the figures are optimistically biased." in text
    assert "scored by the one network not trained on it" in text
    # One patient has no interval.
    assert "| core | 0.8000 |" in text
