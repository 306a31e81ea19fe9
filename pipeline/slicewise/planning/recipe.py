"""The training recipe: what a plan sets whatever the data look like.

What is not named here keeps the default of its section in ``slicewise.config``. A trial that shows
something better changes this table and nothing else.
"""

from __future__ import annotations

from typing import Any

BATCH_PIXELS = 300_000
"""Pixels of a batch: enough for a calm gradient, few enough for many steps."""
SMALLEST_BATCH, LARGEST_BATCH = 8, 32
CHANNELS = (32, 64, 128, 256, 512)
"""Channels of each level, as far as the machine carries them."""
RARE = 0.001
"""A structure that fills less of the voxels is drawn more often."""
RARE_FOREGROUND_FRACTION = 0.67
ROTATION_DEGREES, STRIP_ROTATION_DEGREES = 15.0, 5.0
MISSING_CONTRAST_DROPOUT = 0.2
WIDE_PASSES = 20.0
"""Over the slices of the training cases; a budget for fewer is better spent on half the channels
and more steps. Measured at 16 passes, one seed of one set: 0.0025 Dice (RESULTS.md)."""
FEWEST_PASSES = 8.0
"""A budget for fewer wants a smaller window, too."""
MOST_VALIDATION_SHARE = 0.15
"""Of the budget."""

RECIPE: dict[str, Any] = {
    "network.residual": False,
    "network.deep_supervision": False,
    "network.normalization": "batch",
    "network.activation": "relu",
    "network.dropout": 0.0,
    "training.loss": "dice_ce",
    "training.border_smoothing_pixels": 0.0,
    "training.optimizer": "adamw",
    "training.learning_rate": 1e-3,
    "training.weight_decay": 1e-2,
    "training.schedule": "cosine",
    "training.ema_decay": 0.999,
    "training.validations": 10,
    "training.keep": "last",
    "augmentation.affine_probability": 0.5,
    "augmentation.elastic_probability": 0.2,
    "augmentation.intensity_probability": 0.3,
    "augmentation.noise_probability": 0.2,
    "augmentation.gamma_probability": 0.2,
    "augmentation.bias_field_probability": 0.2,
    "augmentation.low_resolution_probability": 0.0,
    "augmentation.ghosting_probability": 0.0,
    "augmentation.motion_probability": 0.0,
    "augmentation.mirror_axes": [],
    "inference.mirror_axes": [],
}
