"""Benchmarks: reading, preprocessing, training and inference on this machine."""
