"""Measures what training for other contrasts brings: Dice on contrasts that training never saw.

    slicewise plan DATA --out mine.yaml --budget 10
    python tests/other_contrasts.py mine.yaml FOLDER

DATA is a set of skull-stripped T1 heads in the layout of the Medical Segmentation Decathlon. Fold 0
is trained with each value of augmentation.contrast. Its held-out heads are scored as they are and
in other contrasts, which are made from them: cerebrospinal fluid, grey and white matter are found
by their intensities and get others, and the pallidum gets less signal than any of them in the
T2-like one, as from its iron.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.cluster import KMeans

import slicewise
from slicewise.config import load_config

KINDS = ("off", "robust", "synthetic")
SETTINGS = ("inference.temperature=1.1",)
"""Without the tuning of inference, which would take longer than the prediction."""
CONTRASTS: dict[str, tuple[float, float, float] | None] = {
    "as scanned": None,
    "T2-like": (1.0, 0.55, 0.35),
    "proton density-like": (0.9, 0.8, 0.6),
    "FLAIR-like": (0.1, 0.6, 0.45),
    "equal grey and white matter": (0.2, 0.7, 0.7),
}
"""Signal of cerebrospinal fluid, grey and white matter; air has none."""
PALLIDUM_SIGNAL = 0.25
NOISE = 0.02
"""Standard deviation, relative to the largest signal."""


def remapped(
    head: NDArray[np.float64], pallidum: NDArray[np.bool_], signals: tuple[float, float, float]
) -> NDArray[np.float32]:
    """A head with other signals of its tissues."""
    brain = np.random.default_rng(0).choice(head[head > 0], 20_000)[:, None]
    found = KMeans(3, n_init=3, random_state=0).fit(np.minimum(brain, np.percentile(brain, 99.5)))
    means = sorted(found.cluster_centers_[:, 0])
    mapped = np.interp(head, [0, *means], [0, *signals])
    if signals == CONTRASTS["T2-like"]:
        share = ndimage.gaussian_filter(pallidum.astype(float), 0.7)
        mapped = (1 - share) * mapped + share * PALLIDUM_SIGNAL
    noise = NOISE * np.random.default_rng(0).standard_normal(head.shape)
    return np.where(head > 0, np.abs(mapped + noise), 0).astype(np.float32)


def make(root: Path, cases: list[str], pallida: list[int], folder: Path) -> None:
    """The heads in each contrast, a folder each."""
    for contrast, signals in CONTRASTS.items():
        (folder / contrast).mkdir(parents=True)
        for case in cases:
            image = nib.load(root / "imagesTr" / f"{case}.nii.gz")
            head = np.asarray(image.dataobj, float)
            if signals is not None:
                label = np.asarray(nib.load(root / "labelsTr" / f"{case}.nii.gz").dataobj)
                head = remapped(head, np.isin(label, pallida), signals)
            made = nib.Nifti1Image(head.astype(np.float32), image.affine)
            nib.save(made, folder / contrast / f"{case}.nii.gz")


def dice_of(scores: Path) -> Iterator[float]:
    """Dice of each structure of each case."""
    with scores.open() as file:
        yield from (float(row["dice"]) for row in csv.DictReader(file))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("folder", type=Path, help="of models, scans and masks")
    arguments = parser.parse_args()
    config, folder = load_config(arguments.config), arguments.folder
    root = config.data.root
    assert root is not None, "data.root"
    pallida = [value for name, value in config.data.labels.items() if "pallidum" in name.lower()]
    work = folder / "work"
    for kind in KINDS:
        trained = slicewise.train(
            arguments.config,
            out=folder / kind,
            work=work,
            settings=[f"augmentation.contrast={kind}", *SETTINGS],
        )
        with (trained.folder / "scores.csv").open() as file:
            cases = sorted({row["case"] for row in csv.DictReader(file)})
        if not (folder / "scans").exists():
            make(root, cases, pallida, folder / "scans")
        for contrast in CONTRASTS:
            masks, scores = folder / "masks" / kind / contrast, folder / f"{kind} {contrast}.csv"
            slicewise.predict(folder / kind, folder / "scans" / contrast, masks, work=work)
            slicewise.evaluate(masks, root / "labelsTr", out=scores, config=config, work=work)
            dice = list(dice_of(scores))
            sys.stdout.write(f"{kind:10} {contrast:28} {np.mean(dice):.3f} of {len(dice)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
