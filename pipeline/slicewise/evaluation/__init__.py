"""Evaluation: scores, their statistics, comparisons of runs, inference tuning, the baseline."""
