"""Charts of scores, trainings, comparisons and sweeps."""
