"""Predictions of held-out cases in; out how masks are best made of probabilities, and how sure."""
