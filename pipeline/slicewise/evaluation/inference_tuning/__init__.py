"""Tuning of inference by cross-validation: how masks are made of out-of-fold probabilities."""
