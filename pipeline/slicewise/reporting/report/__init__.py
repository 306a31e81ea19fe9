"""The report of a run: page, slides and pictures."""
