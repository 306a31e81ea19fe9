"""Data sets: catalogue, folds, preprocessing, slice cache, sampling and augmentation."""
