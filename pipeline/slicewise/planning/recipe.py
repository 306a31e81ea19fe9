"""The training recipe: values that do not depend on the data set.

Other keys keep the default of their section in ``slicewise.config``.
"""

from __future__ import annotations

from typing import Any

BATCH_PIXELS = 300_000
"""Pixels of a batch: enough for a stable gradient, few enough for many steps."""
MIN_BATCH, MAX_BATCH = 8, 32
CHANNELS = (32, 64, 128, 256, 512)
"""Channels of each level, limited by ``Machine.max_features``."""
RARE_FRACTION = 0.001
"""Structures that fill a smaller fraction of a scan are sampled more often."""
RARE_FOREGROUND_FRACTION = 0.67
ROTATION_DEGREES, STRIP_ROTATION_DEGREES = 15.0, 5.0
MISSING_CONTRAST_DROPOUT = 0.2
WIDE_PASSES = 20.0
"""With fewer passes over the training slices, half the channels and more steps are better.

Measured at 16 passes, one seed of one data set: 0.0025 Dice (RESULTS.md)."""
MIN_PASSES = 8.0
"""With fewer passes, a smaller window is better, too."""
FEW_STEPS = 300
"""With fewer steps, smaller batches and a higher learning rate are better.

Measured on hippocampi, lumbar spines and the synthetic demo, one seed each: 0.005 to 0.03 Dice
with 50 to 200 steps (RESULTS.md)."""
FEW_STEPS_LEARNING_RATE = 3e-3

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
