"""nnU-Net's training in a budget of minutes; found by its commands through nnUNet_extTrainer.

Its own recipe, with as many epochs as fit: its learning rate falls with the number of epochs, so
this number is found before the first one, from the pace of a few steps.
"""

from __future__ import annotations

import os
import time

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

STEPS_OF_EPOCH, VALIDATION_STEPS = 10, 1
"""Short epochs, so that their number is fine enough; nnU-Net's have 250 and 50."""
PACE_STEPS = 3


class MinutesTrainer(nnUNetTrainer):
    """nnU-Net's trainer with epochs that end within MINUTES of the environment."""

    def on_train_start(self) -> None:
        begun = time.monotonic()
        super().on_train_start()
        self.num_iterations_per_epoch = STEPS_OF_EPOCH
        self.num_val_iterations_per_epoch = VALIDATION_STEPS
        self.network.train()
        self.train_step(next(self.dataloader_train))
        paced = time.monotonic()
        for _ in range(PACE_STEPS):
            self.train_step(next(self.dataloader_train))
        seconds = (time.monotonic() - paced) / PACE_STEPS
        left = 60 * float(os.environ["MINUTES"]) - (time.monotonic() - begun)
        # A validation step computes no gradients; the rest of an epoch is a picture and a line.
        per_epoch = seconds * (STEPS_OF_EPOCH + VALIDATION_STEPS) + 1
        self.num_epochs = max(1, round(left / per_epoch))
        self.lr_scheduler.max_steps = self.num_epochs
        self.print_to_log_file(f"{self.num_epochs} epochs of {STEPS_OF_EPOCH} steps")

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Nothing: held-out cases are predicted and timed by a command of their own."""
