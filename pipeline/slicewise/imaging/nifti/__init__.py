"""NIfTI in and out: damage is refused, a mask keeps the grid of its source."""
