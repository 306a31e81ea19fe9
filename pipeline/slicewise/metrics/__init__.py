"""Metrics of segmentation: overlap, surface distance, components and calibration."""
